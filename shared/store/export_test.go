package store

// OpenWith is Open with options of the client, for tests that watch what it
// asks of Spanner.
var OpenWith = open

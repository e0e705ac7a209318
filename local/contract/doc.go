// Package contract holds a test and no code: it drives every example of the
// public interface, infra/stack/openapi.yaml, through the local API Gateway to
// the services themselves, compiled and started as Cloud Run would, on the real
// Spanner emulator, and holds every answer against the document.
//
// What a service answers is told by sending each example once and again, and
// then as strangers send it: unsigned, cut short, too large, of another type,
// from another page. Then the database is taken away, and put in disorder. The
// test fails where
//
//   - an operation has no x-examples, or one is not answered as it says;
//   - an answer has a status, a header or a body that the document does not
//     tell of, or lacks one that it does;
//   - the document tells of a status that nothing here provokes, unless
//     unprovoked says why.
//
// What is not the gateway's (x-direct in the document) is asked of its service
// itself, by TestDirect.
//
// A new route needs its examples in the document and nothing here, unless its
// requests are signed (signers) or are refused for a reason that no stranger
// meets (rows).
package contract

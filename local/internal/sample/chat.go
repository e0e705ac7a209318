package sample

// Conversation is what a visitor says in a chat.
var Conversation = []string{
	"Hi, do you remodel kitchens in Beverly Hills?",
	"Great. We want new cabinets and countertops this spring, how much would that cost?",
	"I'm Dana Whitfield, you can reach me at (310) 555-0142 or dana.whitfield@example.com, ZIP 90210",
}

// Afterthought is what the visitor says when the conversation was over.
const Afterthought = "One more thing: could you do the bathroom too?"

package broker

// output is what the next Ready will say, and what this broker has counted.
type output struct {
	out       Ready
	stats     Stats
	watched   bool      // somebody wants to hear of every job's state (see Note)
	published published // what was last shown
}

// answer answers an input.
func (o *output) answer(t Token, a Answer) {
	o.out.Answers = append(o.out.Answers, Response{t, a})
}

package node

import (
	"context"
	"fmt"

	"github.com/urban-compute/ucp/broker"
)

// ask gives an engine an input and returns its answer, which must be of that type.
func ask[T broker.Answer](ctx context.Context, e *engine, in func(broker.Token) broker.Input) (answer T, err error) {
	a, err := e.Ask(ctx, in)
	answer, ok := a.(T)
	if err == nil && !ok {
		err = fmt.Errorf("answer %T", a)
	}
	return answer, err
}

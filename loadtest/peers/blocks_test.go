package peers

import (
	"context"
	"net/http"
	"sync"

	"github.com/zonecache/cached/block"
)

// blocks are the store's, kept for good.
type blocks struct {
	store  string
	client *http.Client
	kept   sync.Map // []byte by block.ID
}

func newBlocks(store string) *blocks { return &blocks{store: store, client: &http.Client{}} }

func (b *blocks) get(ctx context.Context, id block.ID) ([]byte, error) {
	if body, ok := b.kept.Load(id); ok {
		return body.([]byte), nil
	}
	body, err := fetch(ctx, b.client, b.store+object{id: id}.key())
	if err == nil {
		b.kept.Store(id, body)
	}
	return body, err
}

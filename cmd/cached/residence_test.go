package main

import (
	"errors"
	"testing"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// What a tenant may not read it may not warm, pin, unpin or purge either, and it does
// not learn that it is there.
func TestTenantsWarmPinAndPurgeTheirOwnImages(t *testing.T) {
	g := startGuarded(t, plainText)
	publishFile(t, g.origin, "shop-app", 2_000_000)
	publishBytes(t, g.origin, "bank-app", append(publishFile(t, g.origin, "bank-old", 2_000_000), make([]byte, 500_000)...))
	shop, bank := g.client(t, api.ClientOptions{Token: "shop"}), g.client(t, api.ClientOptions{Token: "bank"})
	all := cachedv1.PreparationScope_PREPARATION_SCOPE_ALL
	warm := func(c *api.Client, image string) error {
		return c.WarmImage(t.Context(), &cachedv1.WarmImageRequest{Image: image, Scope: all}, func(*cachedv1.NodeWarmth) {})
	}
	purge := func(c *api.Client, image string) (*cachedv1.PurgeImageResponse, error) {
		return c.PurgeImage(t.Context(), &cachedv1.PurgeImageRequest{Image: image})
	}
	pin := func(c *api.Client, image string) error { _, err := c.PinImage(t.Context(), image, all); return err }
	unpin := func(c *api.Client, image string) error { _, err := c.UnpinImage(t.Context(), image); return err }
	purged := func(c *api.Client, image string) error { _, err := purge(c, image); return err }

	if err := pin(bank, "bank-app"); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func(*api.Client, string) error{"warm": warm, "pin": pin, "unpin": unpin, "purge": purged} {
		for _, image := range []string{"bank-app", "bank-none"} {
			if err := do(shop, image); !errors.Is(err, block.ErrDenied) {
				t.Errorf("%s %s: %v", name, image, err)
			}
		}
	}
	if list, err := shop.ListPins(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if list, err := bank.ListPins(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := shop.PrepareImage(t.Context(), "shop-app", all); err != nil {
		t.Error(err)
	}
	if err := shop.WatchPreparation(t.Context(), "shop-app", func(*cachedv1.Preparation) {}); err != nil {
		t.Error(err)
	}
	if err := errors.Join(warm(shop, "shop-app"), pin(shop, "shop-app"), unpin(shop, "shop-app")); err != nil {
		t.Error(err)
	}
	// Both images begin with the same bytes: the name of the other is not told.
	resp, err := purge(shop, "shop-app")
	if err != nil || len(resp.GetKept()) == 0 {
		t.Fatalf("%v, %v", resp, err)
	}
	for _, k := range resp.GetKept() {
		if k.GetImage() != "another tenant's image" {
			t.Errorf("%v", k)
		}
	}
	if err := unpin(bank, "bank-app"); err != nil {
		t.Error(err)
	}
}

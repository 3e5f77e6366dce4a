package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
)

func TestFewImageAnswersAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var mu sync.Mutex
		inside, most, served := 0, 0, 0
		h := fewAtATime(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			<-gate
			mu.Lock()
			inside--
			served++
			mu.Unlock()
		}), 4)
		var wg sync.WaitGroup
		request := func(ctx context.Context) {
			wg.Go(func() {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil))
			})
		}
		for range 10 {
			request(t.Context())
		}
		synctest.Wait()
		gone, leave := context.WithCancel(t.Context())
		request(gone)
		synctest.Wait()
		leave()
		synctest.Wait()
		close(gate)
		wg.Wait()
		if most != 4 || served != 10 {
			t.Fatalf("%d at a time and %d served, want 4 and 10", most, served)
		}
	})
}

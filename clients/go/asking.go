package ponosbus

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	longPoll   = 20               // seconds
	remembered = 10 * time.Minute // for so long `ponos serve` knows what became of a delivery
	largest    = 64 << 20         // bytes of an answer
)

// place is where `ponos serve` listens.
type place struct{ network, address string }

func placeOf(text string) (place, error) {
	if path := strings.TrimPrefix(text, "unix:"); path != text && path != "" {
		return place{"unix", path}, nil
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "http" || parsed.Host == "" || strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.User != nil {
		return place{}, fmt.Errorf("the place of ponos serve is written http://127.0.0.1:7313 or unix:PATH")
	}
	port := parsed.Port()
	if port == "" {
		port = "80"
	}
	return place{"tcp", net.JoinHostPort(parsed.Hostname(), port)}, nil
}

// client speaks HTTP there, by no proxy; each connection that it opens is told to `opened`.
func (p place) client(opened func(net.Conn)) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		connection, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, p.network, p.address)
		if err == nil && opened != nil {
			opened(connection)
		}
		return connection, err
	}
	transport := &http.Transport{DialContext: dial, IdleConnTimeout: 30 * time.Second, MaxIdleConnsPerHost: 64}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: transport, Timeout: (longPoll + 70) * time.Second, CheckRedirect: stay}
}

// poll waits for events, by a connection of its own. It is ended by closing the sending half: an event that is on its way comes.
type poll struct {
	client     *http.Client
	mutex      sync.Mutex
	connection net.Conn
	stopped    bool
}

func newPoll(place place) *poll {
	p := &poll{}
	p.client = place.client(func(connection net.Conn) {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.connection = connection
		if p.stopped {
			connection.Close()
		}
	})
	return p
}

func (p *poll) stop() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.stopped = true
	if half, ok := p.connection.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // it is closed already
	}
}

// stopWith stops it when the context ends, unless what it gives was called before.
func (p *poll) stopWith(ctx context.Context) (answered func()) {
	begun := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			p.stop()
		case <-begun:
		}
	}()
	return func() { close(begun) }
}

func (p *poll) close() { p.client.CloseIdleConnections() }

// ask asks until there is an answer, and not for longer than patience. All that is asked may be asked again.
func (b *Bus) ask(ctx context.Context, polled *poll, method, path string, body []byte) ([]byte, error) {
	begun := time.Now()
	until := begun.Add(b.config.Patience)
	for pause := 100 * time.Millisecond; ; pause = shorter(pause*2, 2*time.Second) {
		status, text, err := b.once(ctx, polled, method, path, body)
		if err == nil && status >= 200 && status < 300 {
			return text, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		refused := b.refusal(status, text, err)
		if refused.Code == "settling" { // it is being carried out, which can't be waited for in one request
			until = time.Now().Add(b.config.Patience)
			if longest := begun.Add(remembered); longest.After(begun.Add(b.config.Patience)) && until.After(longest) {
				until = longest
			}
		}
		mayHelp := status == 0 || status == 429 || status == 503 || status == 504
		if !mayHelp || time.Now().Add(pause).After(until) {
			return nil, refused
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func shorter(one, other time.Duration) time.Duration {
	if one < other {
		return one
	}
	return other
}

func (b *Bus) refusal(status int, text []byte, err error) *Error {
	if err != nil {
		return &Error{0, "unreachable", fmt.Sprintf("ponos serve at %s: %v", b.config.URL, err)}
	}
	refused := &Error{Status: status}
	// what is no problem document has a status alone
	if json.Unmarshal(text, &struct{ Code, Detail *string }{&refused.Code, &refused.Detail}) != nil || refused.Detail == "" {
		refused.Detail = fmt.Sprintf("ponos serve answered %d", status)
	}
	return refused
}

// once asks once. The text of 204 is nil.
func (b *Bus) once(ctx context.Context, polled *poll, method, path string, body []byte) (int, []byte, error) {
	client, asks, answered := b.asking, ctx, func() {}
	if polled != nil {
		// its connection is closed by halves instead, until the answer begins
		client, asks, answered = polled.client, context.Background(), polled.stopWith(ctx)
	}
	request, err := http.NewRequestWithContext(asks, method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		answered()
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if b.config.Token != "" {
		request.Header.Set("Authorization", "Bearer "+b.config.Token)
	}
	response, err := client.Do(request)
	answered()
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, largest))
	switch {
	case err != nil:
		return 0, nil, err
	case response.StatusCode == http.StatusNoContent:
		return response.StatusCode, nil, nil
	case response.StatusCode < 300 && !json.Valid(text):
		return 0, nil, fmt.Errorf("what listens there is not ponos serve")
	}
	return response.StatusCode, text, nil
}

package ponosbus

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is one delivery, of one goroutine. What it publishes is sent when it is done.
type Event struct {
	Token         string          `json:"token"`
	Queue         string          `json:"queue"`
	Attempt       int             `json:"attempt"`
	Attempts      int             `json:"attempts"`
	Deadline      time.Time       `json:"deadline"`
	FirstSeen     time.Time       `json:"first_seen"`
	CorrelationID string          `json:"correlation_id"`
	CausationID   string          `json:"causation_id"`
	Attributes    json.RawMessage `json:"event"` // the CloudEvent

	ID   string          `json:"-"`
	Name string          `json:"-"`
	Data json.RawMessage `json:"-"` // none where the event has none, or has bytes: see Attributes

	bus     *Bus
	end     *time.Timer
	publish []json.RawMessage
}

func (b *Bus) read(text []byte) (*Event, error) {
	event := &Event{bus: b}
	var attributes struct {
		ID, Type string
		Data     json.RawMessage
	}
	err := json.Unmarshal(text, event)
	if err == nil {
		err = json.Unmarshal(event.Attributes, &attributes)
	}
	if err != nil || event.Token == "" || attributes.ID == "" {
		return nil, &Error{0, "unreadable", "what listens at " + b.config.URL + " is not ponos serve"}
	}
	event.ID, event.Name, event.Data = attributes.ID, attributes.Type, attributes.Data
	return event, nil
}

// Bind reads the data into what the pointer points to.
func (e *Event) Bind(data any) error { return json.Unmarshal(e.Data, data) }

// Publish publishes an event for everybody, when this one is done.
func (e *Event) Publish(name string, data any, with ...With) error {
	return e.add("event", name, data, with)
}

// Task publishes a task of this service, when this one is done.
func (e *Event) Task(name string, data any, with ...With) error {
	return e.add("task", name, data, with)
}

func (e *Event) add(kind, name string, data any, with []With) error {
	text, err := json.Marshal(messageOf(kind, name, data, with))
	if err == nil {
		e.publish = append(e.publish, text)
	}
	return err
}

// Extend takes more time: so long from now.
func (e *Event) Extend(ctx context.Context, by time.Duration) error {
	body, err := json.Marshal(map[string]string{"by": span(by)})
	if err != nil {
		return err
	}
	text, err := e.bus.ask(ctx, nil, http.MethodPost, "/v1/deliveries/"+e.Token+"/extend", body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &struct{ Deadline *time.Time }{&e.Deadline}); err != nil {
		return err
	}
	e.end.Reset(time.Until(e.Deadline))
	return nil
}

// With says more of what is published.
type With struct {
	Key string        // its id derives from this key: at another attempt it is the same
	At  time.Time     // sent at this instant
	In  time.Duration // sent so long after it is accepted

	ID, Subject, CorrelationID string // outside of a delivery
}

type message struct {
	Event         string `json:"event,omitempty"`
	Task          string `json:"task,omitempty"`
	Data          any    `json:"data"`
	Key           string `json:"key,omitempty"`
	At            string `json:"at,omitempty"`
	In            string `json:"in,omitempty"`
	ID            string `json:"id,omitempty"`
	Subject       string `json:"subject,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
}

func messageOf(kind, name string, data any, with []With) message {
	made := message{Data: data}
	if kind == "task" {
		made.Task = name
	} else {
		made.Event = name
	}
	for _, with := range with {
		made.Key, made.ID = first(with.Key, made.Key), first(with.ID, made.ID)
		made.Subject = first(with.Subject, made.Subject)
		made.CorrelationID = first(with.CorrelationID, made.CorrelationID)
		if !with.At.IsZero() {
			made.At = with.At.Format(time.RFC3339Nano)
		}
		if with.In != 0 {
			made.In = span(with.In)
		}
	}
	return made
}

// Outcome is what becomes of an event, as an error that its handler returns.
type Outcome struct {
	Outcome string            `json:"outcome"`
	Reason  string            `json:"reason,omitempty"`
	After   string            `json:"after,omitempty"`
	Publish []json.RawMessage `json:"publish,omitempty"`
}

func (o *Outcome) Error() string { return strings.TrimSuffix(o.Outcome+": "+o.Reason, ": ") }

// Dead sends it to the dead letters: it can never work.
func Dead(reason string) error { return &Outcome{Outcome: "dead", Reason: cut(reason)} }

// Retry makes another attempt after this time; after none: by the policy.
func Retry(reason string, after time.Duration) error {
	outcome := &Outcome{Outcome: "retry", Reason: cut(reason)}
	if after > 0 {
		outcome.After = span(after)
	}
	return outcome
}

// Snooze makes the same attempt again after this time; none is spent.
func Snooze(reason string, after time.Duration) error {
	return &Outcome{Outcome: "snooze", Reason: cut(reason), After: span(after)}
}

// Release gives it back to its queue, for any replica.
func Release() error { return &Outcome{Outcome: "release"} }

// Skip says that there was nothing to do.
func Skip() error { return &Outcome{Outcome: "skip"} }

func outcomeOf(err error) *Outcome {
	var outcome *Outcome
	switch {
	case err == nil:
		return &Outcome{Outcome: "done"}
	case errors.As(err, &outcome) && outcome != nil:
		return outcome
	default:
		return &Outcome{Outcome: "retry", Reason: cut(err.Error())}
	}
}

// ends is how it ends if it is carried out.
func (o *Outcome) ends() string {
	switch o.Outcome {
	case "retry":
		return "retried"
	case "snooze":
		return "snoozed"
	case "release":
		return "released"
	case "skip":
		return "skipped"
	}
	return o.Outcome
}

// cut makes a reason that can be sent: not too long, and no half character at its end.
func cut(reason string) string {
	const longest = 4000
	if len(reason) > longest {
		end := longest
		for end > 0 && !utf8.RuneStart(reason[end]) {
			end--
		}
		reason = reason[:end]
	}
	return strings.ToValidUTF8(reason, "\uFFFD")
}

// span writes a time as `ponos serve` reads it.
func span(time time.Duration) string {
	if time < 0 {
		time = 0
	}
	return strconv.FormatInt(time.Milliseconds(), 10) + "ms"
}

package ui

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

//go:embed testdata/axe/axe.min.js
var axe string

// tab is a tab of the browser.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string // of the broker

	mu       sync.Mutex
	problems []string // what the console has said
	offline  bool     // requests may fail: the broker is away on purpose
}

// open starts the browser with one tab, which ends with the test.
func open(t *testing.T, base string) *tab {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.IgnoreCertErrors, chromedp.Flag("disable-dev-shm-usage", true))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, base: base}
	require.NoError(t, chromedp.Listen(ctx, b.heard))
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, log.Enable, cdp.Empty{})
		return err
	}))
	b.size(1280, 800)
	return b
}

// heard notes what the console says: errors, warnings, breaches of the policy.
func (b *tab) heard(event any) {
	note := func(format string, args ...any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		var words []string
		for _, a := range e.Args {
			words = append(words, string(a.Value)+a.Description)
		}
		note("console.%s: %s", e.Type, strings.Join(words, " "))
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		note("exception: %s", text)
	case *log.EventEntryAdded:
		b.mu.Lock()
		offline := b.offline
		b.mu.Unlock()
		ours := strings.Contains(e.Entry.Text, "ERR_NETWORK_CHANGED") // as when a network of the test has just got its addresses
		if !ours && (!offline || e.Entry.Source != log.EntrySourceNetwork) {
			note("%s of %s: %s %s", e.Entry.Level, e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	}
}

// quiet checks that the console has said nothing.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.problems, "the console")
}

// away lets requests fail from now on, or no longer.
func (b *tab) away(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offline = yes
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

// size is that of the window.
func (b *tab) size(width, height int64) { b.do(chromedp.EmulateViewport(width, height)) }

// colours are those that the person prefers: light or dark.
func (b *tab) colours(scheme string) {
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
}

// load loads the whole dashboard, at a page, and once more where the browser has given up a file of it since the network has changed.
func (b *tab) load(page string) {
	for range 5 {
		b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(b.base+"/ui/#/"+page))
		for range 30 {
			if value[bool](b, "document.querySelector('#nav a, form.login') !== null") {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// visit goes to a page within the dashboard, and waits for a text on it.
func (b *tab) visit(page, text string) {
	b.t.Helper()
	value[any](b, fmt.Sprintf("void (location.hash = %q)", "#/"+page))
	b.shows(text)
}

// value is that of an expression in the page; promises are waited for.
func value[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, expression)
	return v
}

// holds waits until an expression is true.
func (b *tab) holds(within time.Duration, expression string) time.Duration {
	b.t.Helper()
	began := time.Now()
	for {
		if value[bool](b, expression) {
			return time.Since(began)
		}
		if time.Since(began) > within {
			b.shoot("failed")
			require.Fail(b.t, "it does not hold: "+expression, "the page says:\n%s", value[string](b, "document.body.innerText"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// shows waits until the page shows a text.
func (b *tab) shows(text string) time.Duration {
	b.t.Helper()
	return b.holds(patience, fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// click clicks what a selector finds first.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.holds(patience, fmt.Sprintf("document.querySelector(%q) !== null", selector))
	value[any](b, fmt.Sprintf("void document.querySelector(%q).click()", selector))
}

// drop drops a file or a folder where files are dropped, as a hand does.
func (b *tab) drop(path string) {
	b.t.Helper()
	value[any](b, "void document.querySelector('.drop').scrollIntoView({block: 'center'})")
	at := value[[]float64](b, "(() => { const r = document.querySelector('.drop').getBoundingClientRect(); return [r.x + r.width / 2, r.y + 10]; })()")
	for _, step := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
		b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, input.DispatchDragEvent, input.DispatchDragEventParams{Type: step, X: at[0], Y: at[1], Data: &input.DragData{Items: []*input.DragDataItem{}, Files: []string{path}, DragOperationsMask: 1}})
			return err
		}))
	}
}

// shoot keeps a screenshot of all of the page where SCREENSHOTS says.
func (b *tab) shoot(name string) { b.keep(name, chromedp.FullScreenshot(100)) }

// keep keeps a screenshot.
func (b *tab) keep(name string, how chromedp.Action[[]byte]) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	require.NoError(b.t, os.MkdirAll(dir, 0o755))
	shot, err := chromedp.Run(b.ctx, how)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(dir, name+".png"), shot, 0o644))
}

// violation is a rule of axe-core that a page breaks.
type violation struct {
	ID, Help string
	Nodes    []struct {
		HTML           string
		FailureSummary string
	}
}

// accessible checks a page by axe-core: names, roles, contrast, order.
func (b *tab) accessible(what string) {
	b.t.Helper()
	value[any](b, "void (window.axe || 0)")
	if !value[bool](b, "Boolean(window.axe)") {
		value[any](b, axe+"\n;void 0")
	}
	text := value[string](b, "axe.run(document, {resultTypes: ['violations']}).then((r) => JSON.stringify(r.violations))")
	var list []violation
	require.NoError(b.t, json.Unmarshal([]byte(text), &list))
	for _, v := range list {
		for _, n := range v.Nodes[:min(len(v.Nodes), 3)] {
			b.t.Errorf("%s: %s (%s), %d times: %s\n%s", what, v.ID, v.Help, len(v.Nodes), n.HTML, n.FailureSummary)
		}
	}
}

package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/strictjson"
)

// SubmitOptions say how a job is submitted; the zero value is fine.
type SubmitOptions struct {
	// ID is the job's name, the client's choice. With one the submission may be
	// repeated without harm: the same spec again is the same job. Empty: the
	// broker chooses.
	ID job.ID
	// Wait makes the answer wait until the job is final, at most so long
	// (at most MaxWait); Submission.Job then says how the job stands.
	Wait time.Duration
	// Timeout bounds what the submission itself waits for; 0 is the broker's
	// default, 10 s.
	Timeout time.Duration
	// Token is the CausalToken of an earlier answer: the job comes after what that
	// client had seen.
	Token string
}

// NewJobID makes an ID up for a job: 12 letters and digits, of which no two look alike, drawn at random. So few are
// easily typed, and their beginning already tells a job from others (decision 0140).
func NewJobID() job.ID { return job.ID(strings.ToLower(rand.Text()[:12])) }

// Submit hands a job to the broker. The blobs it names must have been uploaded.
func (c *Client) Submit(ctx context.Context, spec job.Spec, o SubmitOptions) (Submission, error) {
	body, err := strictjson.Marshal(spec)
	if err != nil {
		return Submission{}, fmt.Errorf("encoding the job spec: %w", err)
	}
	return c.SubmitDocument(ctx, body, "application/json", o)
}

// SubmitDocument hands a job to the broker as the person wrote it: contentType
// is application/json or application/yaml.
func (c *Client) SubmitDocument(ctx context.Context, spec []byte, contentType string, o SubmitOptions) (Submission, error) {
	k := call{
		method: http.MethodPost, path: []string{"v1", "jobs"}, query: url.Values{},
		contentType: contentType, body: Bytes(spec), size: int64(len(spec)),
	}
	if o.ID != "" {
		k.method, k.path = http.MethodPut, []string{"v1", "jobs", string(o.ID)}
	}
	setDuration(k.query, "wait", min(o.Wait, MaxWait))
	setDuration(k.query, "timeout", o.Timeout)
	if o.Token != "" {
		k.query.Set("causal_token", o.Token)
	}
	var s Submission
	_, err := c.json(ctx, k, o.Wait+o.Timeout, &s)
	return s, err
}

// BatchJob is one job of a batch. Without an ID, SubmitBatch makes one up.
type BatchJob struct {
	ID   job.ID   `json:"id"`
	Spec job.Spec `json:"spec"`
}

// SubmitBatch hands over up to MaxBatch jobs, of together at most MaxBatchBytes as JSON, in one request, which costs a
// broker hardly more than one job does. What became of each stands in its place in the answer: a job that is refused
// does not keep the others out. An error is that of the whole; the batch may be submitted again with the same IDs. The
// token is that of Submission.CausalToken. Of the options ID and Wait are not used.
func (c *Client) SubmitBatch(ctx context.Context, jobs []BatchJob, o SubmitOptions) (lines []BatchLine, token string, err error) {
	var body bytes.Buffer
	for i := range jobs {
		if jobs[i].ID == "" {
			jobs[i].ID = NewJobID()
		}
		line, err := strictjson.Marshal(&jobs[i])
		if err != nil {
			return nil, "", fmt.Errorf("encoding the spec of job %s: %w", jobs[i].ID, err)
		}
		body.Write(append(line, '\n'))
	}
	k := call{
		method: http.MethodPost, path: []string{"v1", "jobs:batch"}, query: url.Values{}, named: true,
		contentType: NDJSON, body: Bytes(body.Bytes()), size: int64(body.Len()),
	}
	setDuration(k.query, "timeout", o.Timeout)
	if o.Token != "" {
		k.query.Set("causal_token", o.Token)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout+requestTimeout)
	defer cancel()
	resp, err := c.do(ctx, k)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	from := json.NewDecoder(io.LimitReader(resp.Body, maxJSON))
	for range jobs {
		var l BatchLine
		if err := from.Decode(&l); err != nil {
			return nil, "", c.transportError(ctx, c.present(), k, err, true)
		}
		lines = append(lines, l)
	}
	return lines, resp.Header.Get(TokenHeader), nil
}

func setDuration(q url.Values, name string, d time.Duration) {
	if d > 0 {
		q.Set(name, d.String())
	}
}

// ListOptions choose jobs, by all of their conditions, and a page of them; the zero value is the newest of all.
type ListOptions struct {
	States    []job.State // only jobs in one of these states
	Labels    []string    // conditions on their labels, as constraints are written: k=v, k!=v, "k in (a,b)", k
	Name      string      // only jobs that people call so; with a final *, so at its beginning
	Broker    string      // only jobs placed at this broker, or with an attempt there
	Emergency string      // only jobs that name it, have their level of it, or made room because of it: an ID or its beginning, or a type
	Submitter string      // only jobs that this member, or holder of a token, has submitted
	Mine      bool        // only jobs that the caller has submitted
	Urgent    bool        // only jobs with the level of an emergency, or a user priority of 8 or more
	Paused    bool        // only jobs that make room for another now
	Since     time.Time   // only jobs that are unfinished, or have ended then or later
	Limit     int         // 0 is the broker's default
	After     string      // JobList.Next of the page before
}

func (o *ListOptions) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	var states []string
	for _, s := range o.States {
		states = append(states, string(s))
	}
	set("state", strings.Join(states, ","))
	for _, l := range o.Labels {
		q.Add("label", l)
	}
	set("name", o.Name)
	set("broker", o.Broker)
	set("emergency", o.Emergency)
	set("submitter", o.Submitter)
	if o.Mine {
		q.Set("mine", "1")
	}
	if o.Urgent {
		q.Set("urgent", "1")
	}
	if o.Paused {
		q.Set("paused", "1")
	}
	if !o.Since.IsZero() {
		q.Set("since", o.Since.UTC().Format(time.RFC3339Nano))
	}
	if o.Limit > 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	set("after", o.After)
	return q
}

// Jobs lists jobs, newest first. A page that has a next one may be shorter than the limit, even empty.
func (c *Client) Jobs(ctx context.Context, o ListOptions) (JobList, error) {
	return c.list(ctx, o, false)
}

// list gets one page. A broker of an earlier version refuses a state that it does not know: to it what starts runs.
func (c *Client) list(ctx context.Context, o ListOptions, count bool) (l JobList, err error) {
	get := func() error {
		q := o.query()
		if count {
			q.Set("count", "1")
		}
		_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"v1", "jobs"}, query: q}, 0, &l)
		return err
	}
	err = get()
	var refused *Error
	starting, running := slices.Contains(o.States, job.StateStarting), slices.Contains(o.States, job.StateRunning)
	if starting && running && errors.As(err, &refused) && refused.Status == http.StatusBadRequest {
		o.States = slices.DeleteFunc(slices.Clone(o.States), func(s job.State) bool { return s == job.StateStarting })
		if get() == nil {
			return l, nil
		}
	}
	return l, err
}

// CountJobs says how many jobs are chosen, by their states; Limit and After of the options are not used.
func (c *Client) CountJobs(ctx context.Context, o ListOptions) (map[job.State]int, error) {
	out := map[job.State]int{}
	for o.After = ""; ; {
		l, err := c.list(ctx, o, true)
		if err != nil {
			return nil, err
		}
		for state, n := range l.Counts {
			out[state] += n
		}
		if l.Next == "" || l.Next == o.After {
			return out, nil
		}
		o.After = l.Next
	}
}

// Job tells how a job stands. The ID may be shortened while it is unique. With a
// wait (at most MaxWait) the answer comes when the job is final, or then.
func (c *Client) Job(ctx context.Context, id string, wait time.Duration) (Job, error) {
	return c.JobAfter(ctx, id, wait, "")
}

// JobAfter is Job at a broker that first knows at least what a causal token names:
// what one has written or read at one broker is there at any other.
func (c *Client) JobAfter(ctx context.Context, id string, wait time.Duration, token string) (Job, error) {
	return c.job(ctx, id, wait, token, url.Values{})
}

// JobWithCopies is JobAfter without a wait, and says where the output is, too (Job.Copies): the broker asks all others.
func (c *Client) JobWithCopies(ctx context.Context, id, token string) (Job, error) {
	return c.job(ctx, id, 0, token, url.Values{"copies": {"1"}})
}

func (c *Client) job(ctx context.Context, id string, wait time.Duration, token string, q url.Values) (Job, error) {
	if token != "" {
		q.Set("causal_token", token)
	}
	setDuration(q, "wait", min(wait, MaxWait))
	var j Job
	_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"v1", "jobs", id}, query: q}, wait, &j)
	return j, err
}

// Cancel ends a job. One that had ended already stays as it is; the answer says.
func (c *Client) Cancel(ctx context.Context, id string) (Job, error) {
	var j Job
	_, err := c.json(ctx, call{method: http.MethodDelete, path: []string{"v1", "jobs", id}}, 0, &j)
	return j, err
}

// Stdout hands out what an ended job wrote to its stdout; the caller closes the
// reader.
func (c *Client) Stdout(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.stream(ctx, call{method: http.MethodGet, path: []string{"v1", "jobs", id, "stdout"}})
}

// Stderr is Stdout for the job's stderr.
func (c *Client) Stderr(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.stream(ctx, call{method: http.MethodGet, path: []string{"v1", "jobs", id, "stderr"}})
}

// Output hands out one file of an ended job's output paths (Job.Outputs lists
// them), or of a directory among these; of the directory itself, whose path ends with a slash, its manifest. The caller
// closes the reader.
func (c *Client) Output(ctx context.Context, id, path string) (io.ReadCloser, error) {
	return c.stream(ctx, call{method: http.MethodGet, path: append([]string{"v1", "jobs", id, "outputs"}, strings.Split(path, "/")...)})
}

// Kept hands out a file of what an attempt left that was stopped in the middle, which Attempt.Kept lists, also while the job goes
// on. attempt is its token; path is "stdout", "stderr", or "outputs/" and one of Outputs, or a file within a directory among
// these. The caller closes the reader.
func (c *Client) Kept(ctx context.Context, id, attempt, path string) (io.ReadCloser, error) {
	return c.stream(ctx, call{method: http.MethodGet, path: append([]string{"v1", "jobs", id}, strings.Split(path, "/")...), query: url.Values{"attempt": {attempt}}})
}

// Result hands out all that an ended job left as one archive, "zip" or "tar": "stdout" and
// "stderr", and the output files below "outputs/". The caller closes the reader.
func (c *Client) Result(ctx context.Context, id, format string) (io.ReadCloser, error) {
	return c.stream(ctx, call{method: http.MethodGet, path: []string{"v1", "jobs", id, "result"}, query: url.Values{"format": {format}}})
}

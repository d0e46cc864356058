package api

import "github.com/urban-compute/ucp/job"

// Bounds of a plan that a broker reads (POST /v1/plans). `ucp plan run` reads larger ones.
const (
	MaxPlanText     = 256 << 10 // bytes
	MaxPlanJobs     = MaxBatch  // each element of an array counted
	MaxPlanFiles    = 10_000    // that are handed over
	MaxPlanMistakes = 100       // that are told
)

// PlanOrder is a plan as POST /v1/plans takes it.
type PlanOrder struct {
	ID   job.ID `json:"id,omitempty"`   // of the plan: the same again is the same plan; without it the broker makes one up
	Name string `json:"name,omitempty"` // of the file that it was in, whose end tells TOML from YAML
	Text string `json:"text"`
	// Files says by which blob each file is known that the plan names, by its path as the plan has it; of what is in a directory, by the path of the
	// directory, a slash, and the path in it.
	Files map[string]job.Digest `json:"files,omitempty"`
}

// PlanAnswer answers POST /v1/plans: what was submitted or, with ?dry_run=1, would be.
type PlanAnswer struct {
	ID       job.ID        `json:"id"`
	Jobs     int           `json:"jobs"`               // how many it has, each element of an array counted
	Created  int           `json:"created"`            // of which so many were not known before; 0 of a dry run
	Mistakes []PlanMistake `json:"mistakes,omitempty"` // only of a dry run: by line, at most 100
	Files    []PlanFile    `json:"files"`              // that it names, each once, in its order
	Graph    *PlanGraph    `json:"graph,omitempty"`    // not of more than 200 jobs and arrays

	Replicas    int      `json:"replicas,omitempty"` // brokers that hold the job that fewest hold
	Degraded    bool     `json:"degraded,omitempty"` // these are fewer than the broker's --replicas
	Wanted      int      `json:"wanted,omitempty"`   // how many should, where fewer do
	Warnings    []string `json:"warnings,omitempty"` // what of its jobs may not be as it was meant, for people
	CausalToken string   `json:"causal_token,omitempty"`
}

// PlanMistake is something in a plan that is wrong.
type PlanMistake struct {
	Line int    `json:"line,omitempty"` // from 1; without it it is not of one line
	Job  string `json:"job,omitempty"`  // the name of the job or array
	Text string `json:"text"`
}

// PlanFile is a file or directory that a plan names.
type PlanFile struct {
	Path      string `json:"path"`                // as the plan has it
	What      string `json:"what"`                // for what it is: module, stdin, inputs["path in the job"], or each
	Job       string `json:"job,omitempty"`       // the first job or array that needs it
	Line      int    `json:"line,omitempty"`      // of the plan, where that stands
	Directory bool   `json:"directory,omitempty"` // it is a directory
	Missing   bool   `json:"missing,omitempty"`   // none was handed over
	// Absent are the blobs of it that are not at this broker yet: upload them.
	Absent []job.Digest `json:"absent,omitempty"`
}

// PlanGraph is which jobs of a plan run behind which, an array as one.
type PlanGraph struct {
	Jobs  []PlanNode `json:"jobs"`
	Edges []PlanEdge `json:"edges"`
}

// PlanNode is a job or an array, or named data that is read and that no job of the plan writes.
type PlanNode struct {
	Name string `json:"name"` // of data data:NAME, or data:PREFIX/
	Jobs int    `json:"jobs"` // 1, or the elements of an array; 0 of data
}

// PlanEdge says that a job runs behind another one, and what it reads of it.
type PlanEdge struct {
	From  string   `json:"from"`
	To    string   `json:"to"`
	Reads []string `json:"reads,omitempty"` // as out/report.json, stdout, or data:NAME
}

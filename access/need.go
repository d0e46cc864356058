package access

// Need is what a route, or a verb of the command line, asks of its caller: a scope; with Own, [Submit] will do for jobs
// that the caller has submitted.
type Need struct {
	Scope Scope // "" for none
	Own   bool
}

// Nothing is the need of what everybody may do, whoever they are.
var Nothing = Need{}

// Met reports whether a set of scopes is enough, and whether only for jobs of the caller's own.
func (n Need) Met(s Scopes) (met, ownOnly bool) {
	switch {
	case n.Scope == "" || s.Has(n.Scope):
		return true, false
	case n.Own && s.Has(Submit):
		return true, true
	}
	return false, false
}

// String says it in words.
func (n Need) String() string {
	switch {
	case n.Scope == "":
		return "nothing"
	case n.Scope == anything:
		return "any scope"
	case n.Own:
		return "the scope " + string(n.Scope) + ", or submit for jobs of one's own"
	}
	return "the scope " + string(n.Scope)
}

// Needs says of every route, by its pattern, what it asks for. One that is not here can't be called.
var Needs = map[string]Need{
	"POST /broker/sync-metadata":          {Scope: Peer},
	"GET /broker/coordination-status":     {Scope: Read},
	"GET /broker/metadata":                {Scope: Read},
	"GET /broker/views":                   {Scope: Read},
	"GET /broker/digest":                  {Scope: Read},
	"GET /broker/keyring":                 {Scope: Peer},
	"GET /v1/members":                     {Scope: Read},
	"DELETE /v1/members/{name}":           {Scope: Operate},
	"PUT /v1/members/{name}/drain":        {Scope: Operate},
	"DELETE /v1/members/{name}/drain":     {Scope: Operate},
	"POST /v1/jobs":                       {Scope: Submit},
	"POST /v1/jobs:batch":                 {Scope: Submit},
	"PUT /v1/jobs/{id}":                   {Scope: Submit},
	"POST /v1/plans":                      {Scope: Submit},
	"GET /v1/jobs":                        {Scope: Read, Own: true},
	"GET /v1/jobs/{id}":                   {Scope: Read, Own: true},
	"DELETE /v1/jobs/{id}":                {Scope: Cancel, Own: true},
	"GET /v1/jobs/{id}/stdout":            {Scope: Read, Own: true},
	"GET /v1/jobs/{id}/stderr":            {Scope: Read, Own: true},
	"GET /v1/jobs/{id}/result":            {Scope: Read, Own: true},
	"GET /v1/jobs/{id}/outputs/{path...}": {Scope: Read, Own: true},
	"GET /v1/jobs/{id}/events":            {Scope: Read, Own: true},
	"PUT /v1/blobs/{digest}":              {Scope: Submit},
	"GET /v1/blobs/{digest}/chunks":       {Scope: Read},
	"GET /v1/blobs/{digest}":              {Scope: Read, Own: true}, // with submit only whether it is there (HEAD)
	"GET /v1/data/{name...}":              {Scope: Read},
	"PUT /v1/data/{name...}":              {Scope: Submit},
	"DELETE /v1/data/{name...}":           {Scope: Cancel},
	"GET /v1/strategy":                    {Scope: Read},
	"PUT /v1/strategy":                    {Scope: Operate},
	"GET /v1/conflicts":                   {Scope: Read},
	"GET /v1/conflicts/{id}":              {Scope: Read},
	"GET /broker/conflict-statistics":     {Scope: Read},
	"GET /v1/emergencies":                 {Scope: Read},
	"POST /v1/emergencies":                {Scope: Emergency}, // of its level
	"GET /v1/emergencies/{id}":            {Scope: Read},
	"DELETE /v1/emergencies/{id}":         {Scope: Emergency}, // of its level
	"GET /v1/events":                      {Scope: Read},
	"GET /broker/debug":                   {Scope: Operate},
	"GET /v1/caller":                      Nothing, // it says who asks, to whom it is
	"GET /v1/log-level":                   {Scope: Read},
	"PUT /v1/log-level":                   {Scope: Operate},
	"GET /v1/audit":                       {Scope: Operate},
	"GET /metrics":                        {Scope: Read},
	"POST /v1/invites":                    {Scope: Admit},
	"GET /v1/authorities":                 {Scope: Read},
	"POST /v1/authorities":                {Scope: Admit},
	"DELETE /v1/authorities/{key}":        {Scope: Admit},
	"GET /v1/recipients":                  {Scope: Submit},
	"POST /broker/secrets":                {Scope: Peer},
	"GET /broker/sheets":                  {Scope: Peer},
	"GET /broker/word":                    {Scope: Peer},
	"POST /broker/word":                   {Scope: Peer},
	"POST /v1/carry/pack":                 {Scope: Operate},
	"POST /v1/carry/unpack":               {Scope: Operate},
	"GET /v1/revocations":                 {Scope: anything},
	"POST /v1/revocations":                {Scope: Admit},
	"POST /v1/admissions":                 Nothing, // but a ticket
	"GET /ui/{path...}":                   Nothing, // what the pages show, they ask for
	"GET /{$}":                            Nothing,
	"GET /v1/openapi.yaml":                Nothing, // it is the same at every broker
	"GET /healthz":                        Nothing,
	"GET /readyz":                         Nothing,
	"/":                                   {Scope: anything}, // what there is not
}

// Package kind names the kinds of records that brokers replicate, and tells the ledger how
// each is read and merged: the one table to which a new kind is added. The rules are numbered in
// docs/protocol.md.
package kind

import (
	"github.com/urban-compute/ucp/data"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/ledger"
	"github.com/urban-compute/ucp/roll"
	"github.com/urban-compute/ucp/setting"
	"github.com/urban-compute/ucp/trust"
)

// The kinds of records. The names are part of the store's keys and of messages.
const (
	Job       ledger.Kind = "job"       // *job.Record
	Setting   ledger.Kind = "setting"   // *setting.Setting
	Emergency ledger.Kind = "emergency" // *emergency.Record
	Member    ledger.Kind = "member"    // *roll.Record
	Data      ledger.Kind = "data"      // *data.Record
)

// Schemas are the kinds that this version knows, by name. The map is not changed.
var Schemas = map[ledger.Kind]ledger.Schema{
	Job:       ledger.Grows(ledger.SchemaOf(Job, job.DecodeRecord, job.Merge), job.MaxRecord, job.DecodeStored).WithStubs(jobStubs).Disputable(),
	Setting:   SettingsIn(""),
	Emergency: ledger.Grows(ledger.SchemaOf(Emergency, emergency.Decode, emergency.Merge), emergency.MaxRecord, emergency.DecodeStored),
	Member:    ledger.Grows(ledger.SchemaOf(Member, roll.Decode, roll.Merge), roll.MaxSize, roll.DecodeStored).Ahead(),
	Data:      ledger.Grows(ledger.SchemaOf(Data, data.Decode, data.Merge), data.MaxSize, data.DecodeStored),

	ledger.Starts: ledger.StartSchema,
}

// SettingsIn is the schema of settings in a city: what authorities have said is theirs. "" is any city.
func SettingsIn(city identity.City) ledger.Schema {
	checked := func(decode func([]byte) (*setting.Setting, error)) func([]byte) (*setting.Setting, error) {
		return func(b []byte) (*setting.Setting, error) {
			s, err := decode(b)
			if err == nil {
				err = trust.Check(city, s)
			}
			return s, err
		}
	}
	return ledger.Grows(ledger.SchemaOf(Setting, checked(setting.Decode), setting.Merge), setting.MaxSize, checked(setting.DecodeStored))
}

// jobStubs keep how a job ended, where somebody may not know of it.
var jobStubs = &ledger.StubSchema{
	Is:     func(r ledger.Record) bool { return r.(*job.Record).IsStub() },
	Of:     func(r ledger.Record) ledger.Record { return r.(*job.Record).ToStub() },
	Encode: func(r ledger.Record) []byte { return r.(*job.Record).EncodeStub() },
	Decode: func(key string, b []byte) (ledger.Record, error) {
		r, err := job.DecodeStub(key, b)
		if err != nil {
			return nil, err
		}
		return r, nil
	},
}

// JobRef names the job with this key.
func JobRef(key string) ledger.Ref { return ledger.Ref{Kind: Job, Key: key} }

// SettingRef names the setting with this name.
func SettingRef(name string) ledger.Ref { return ledger.Ref{Kind: Setting, Key: name} }

// MemberRef names the member record of the broker with this name.
func MemberRef(name string) ledger.Ref { return ledger.Ref{Kind: Member, Key: name} }

// DataRef names what is known of named data.
func DataRef(name data.Name) ledger.Ref { return ledger.Ref{Kind: Data, Key: string(name)} }

package main

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/node"
)

// reloadable are the settings that change while a broker runs.
var reloadable = []string{"log-level", "max-rate", "retry-join", "tls-cert", "tls-key", "tls-ca"}

// reload is what SIGHUP does: it reads the config file again, and takes over what may change while a broker runs. What needs a restart is named; a mistake changes nothing.
type reload struct {
	args   []string // the command line
	env    func(string) (string, bool)
	now    map[string]string // flag -> its value as text, since the start or the last reload
	web    *identity.Web     // the same of the files that settings name
	level  *slog.LevelVar
	broker *node.Node
	log    *slog.Logger
}

// texts are the values of all settings.
func texts(fs *pflag.FlagSet) map[string]string {
	out := map[string]string{}
	fs.VisitAll(func(x *pflag.Flag) {
		if isSetting(x) {
			out[x.Name] = x.Value.String()
		}
	})
	return out
}

// shownSettings are the settings for people who look into a bundle: a command that finds others may hold a secret, and so does an invite.
func shownSettings(fs *pflag.FlagSet) map[string]string {
	out := texts(fs)
	for name, value := range out {
		if strings.Contains(value, execEntry) {
			out[name] = "(hidden: it names a command)"
		}
		if name == "invite" && value != "" {
			out[name] = "(hidden)"
		}
	}
	return out
}

// again reads all settings once more.
func (r *reload) again() (agentConfig, map[string]string, error) {
	var flags agentFlags
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.ParseErrorsAllowlist.UnknownFlags = true // those that are no settings
	flags.register(fs)
	if err := fs.Parse(r.args); err != nil {
		return agentConfig{}, nil, err
	}
	cfg, err := flags.resolve(fs, r.env)
	return cfg, texts(fs), err
}

// do reloads.
func (r *reload) do() {
	cfg, values, err := r.again()
	var web *identity.Web
	if err == nil {
		web, err = identity.ReadWeb(cfg.TLSCert, cfg.TLSKey, cfg.TLSCA) // the files may be others
	}
	if err != nil {
		r.log.Error("SIGHUP: nothing was changed", "error", oneLine(err.Error()))
		return
	}
	var changed, waiting []string
	for name, value := range values {
		switch {
		case value == r.now[name]:
		case slices.Contains(reloadable, name):
			changed = append(changed, name+"="+value)
			r.now[name] = value
		default:
			waiting = append(waiting, name)
		}
	}
	for _, what := range web.Others(r.web) {
		changed = append(changed, "--tls-cert, --tls-ca: "+what)
	}
	r.web = web
	slices.Sort(changed)
	slices.Sort(waiting)
	r.level.Set(cfg.LogLevel)
	r.broker.RetryJoin(cfg.RetryJoin)
	r.broker.SetMaxRate(cfg.MaxRate)
	r.broker.SetWeb(web)
	r.log.Info("SIGHUP: settings read again", "changed", cmp.Or(strings.Join(changed, " "), "nothing"))
	if len(waiting) > 0 {
		r.log.Warn("SIGHUP: these settings change at the next start only", "settings", strings.Join(waiting, " "))
	}
}

// serve reloads at each SIGHUP until ctx ends. A terminal that goes away sends one, and that its pipes are closed says
// SIGPIPE: neither ends a broker.
func (r *reload) serve(ctx context.Context) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGPIPE)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGHUP {
					r.do()
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		work.Wait()
		signal.Stop(signals)
	}
}

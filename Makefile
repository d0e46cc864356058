# Everything a newcomer needs: `make demo` and `make test`. Nothing here needs more
# than Go, git and make; what takes more than a line stands in scripts/.

export CGO_ENABLED ?= 0
# The compiler collects garbage less often: a fifth less time with empty caches.
GOBUILD = GOGC=400 go build -trimpath
GUEST   = GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 $(GOBUILD) -ldflags='-s -w'

.DEFAULT_GOAL := help
.PHONY: help demo demo-emergency demo-work test sim fuzz attack vuln model chaos soak compliance mutants build release release-test man examples cluster lint bench clean ui

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## three brokers on loopback, a real job through them, and what happened
	@scripts/demo.sh

demo-emergency: ## an earthquake: urgent work overtakes, a broker dies, and all is told as one story
	@scripts/demo-emergency.sh

demo-work: ## a day's work: plans, arrays, named data, a long job, and machines that fail meanwhile
	@scripts/demo-work.sh

test: ## the whole test suite, with the race detector where that works
	@scripts/test.sh

sim: ## SEEDS=n fault schedules for the core, from SEED=first on, with FAULTS=a,b; prints the story of what fails
	UCP_SEEDS=$(or $(SEEDS),1000) UCP_SEED=$(or $(SEED),0) UCP_FAULTS=$(FAULTS) go test ./sim -count=1 -timeout 0 -run TestCoreSchedules -v

model: ## search the models of the protocol (docs/model); skips what needs spin where that is missing (ARGS=-long)
	@scripts/model.sh $(ARGS)

fuzz: ## new inputs for every decoder, SECONDS=n (5) for each (ONLY=part of a name)
	@scripts/fuzz.sh $(or $(SECONDS),5) $(ONLY)

attack: ## every attack that docs/security.md lists, on real processes where it says so, counted (ONLY=part of a name)
	@ONLY="$(ONLY)" scripts/attack.sh

vuln: ## known vulnerabilities in what is called; says so where the database can't be reached
	@scripts/vuln.sh

mutants: ## break one rule at a time: does a test notice?
	go run ./tools/mutants

chaos: bin/chaos ## two minutes of faults on real brokers under 1,000 jobs, then every promise is checked (ARGS=-h)
	@bin/chaos -ucp bin/ucp -wasm bin/words.wasm $(ARGS)

soak: bin/chaos ## the same for MINUTES=n (20), with fresh seeds, summed up at the end
	@bin/chaos -ucp bin/ucp -wasm bin/words.wasm -soak $(or $(MINUTES),20)m $(ARGS)

.PHONY: bin/chaos
bin/chaos: build examples
	@$(GOBUILD) -o bin/chaos ./test/chaos

compliance: build ## UCP Part B, each requirement checked now on real brokers: figure, limit, PASS or FAIL (ARGS=-h)
	@go build -trimpath -o bin/compliance ./test/compliance
	@bin/compliance -ucp bin/ucp $(ARGS)

build: ## bin/ucp, one static binary
	$(GOBUILD) -o bin/ucp ./cmd/ucp

release: ## dist/: static binaries for Linux and macOS, .deb, .rpm, images, what is in them, digests (docs/install.md; ARGS=-h)
	go -C tools/release run . $(ARGS)

release-test: ## makes a release twice and tries it: the same bytes, a Debian that is upgraded, images, arm64 (minutes; ONLY=part of a test's name)
	@ONLY='$(ONLY)' scripts/release-test.sh

man: build ## a man page for each verb, in bin/man/man1
	bin/ucp man bin/man/man1

examples: ## the example jobs as WebAssembly, and the generator of their data
	$(GUEST) -o bin/quake.wasm ./examples/quake
	$(GUEST) -o bin/tiles.wasm ./examples/tiles
	$(GUEST) -o bin/words.wasm ./examples/words
	$(GUEST) -o bin/primes.wasm ./examples/primes
	$(GOBUILD) -o bin/accelerogram ./examples/accelerogram

ui: ## the dashboard in a real browser, on real brokers under faults (ONLY=part of a test's name; SCREENSHOTS=DIR keeps pictures)
	SCREENSHOTS=$(abspath $(SCREENSHOTS)) go -C e2e/ui test -count=1 -v -run '$(ONLY)' ./...

cluster: build ## a local cluster of three (see scripts/cluster.sh help)
	@scripts/cluster.sh up 3

# Words that misspell does not know, that a test spells wrong on purpose, or that are names (systemd-analyze).
SPELLED = nmae,versoin,rumor,signaled,synchronizing,color,unauthorized,analyze

lint: ## gofmt, go vet, misspell, staticcheck, unparam, deadcode
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted; run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go -C e2e/ui vet ./...
	go -C tools/release vet ./...
	GOOS=darwin GOARCH=arm64 go build ./executor ./cgroup
	go tool misspell -error -locale UK -i $(SPELLED) $$(git ls-files -co --exclude-standard '*.go' '*.md' '*.sh' '*.yaml' Makefile)
	go tool staticcheck ./...
	go tool unparam ./...
	@dead=$$(go tool deadcode -test ./...); if [ -n "$$dead" ]; then echo "$$dead"; exit 1; fi

bench: ## all benchmarks (docs/performance.md says what they mean)
	go test -run '^$$' -bench . -benchmem ./...

# What users would pick instead, from the module proxy, and a module that says hello.
.PHONY: bench-peers bench-check bin/peers
bin/peers: build
	cd bench/peers && $(GOBUILD) -o $(abspath bin)/ . github.com/nats-io/nats-server/v2 go.etcd.io/etcd/server/v3
	mv bin/server bin/etcd
	cd bench/peers && $(GUEST) -o $(abspath bin)/hello.wasm ./hello

bench-peers: bin/peers ## ucp beside NATS, etcd and a bare pipeline, in one run: seven minutes (ARGS=-h; BEFORE=COMMIT builds an older ucp, too)
	@scripts/bench-peers.sh $(if $(BEFORE),-b $(BEFORE)) $(ARGS)

bench-check: bin/peers ## the same, and fails if a ratio became worse than the recorded one by a fifth
	@scripts/bench-peers.sh $(if $(BEFORE),-b $(BEFORE)) -check bench/peers/recorded.json $(ARGS)

clean: ## remove what was built
	rm -rf bin dist

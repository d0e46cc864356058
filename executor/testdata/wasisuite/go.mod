module github.com/urban-compute/ucp/executor/testdata/wasisuite

go 1.26

require github.com/bytecodealliance/wasmtime-go/v37 v37.0.0

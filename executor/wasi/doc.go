// Package wasi is what a wasm job sees of its machine beyond clocks, randomness and its arguments: the functions of
// WASI preview 1 that work on file descriptors.
//
// wazero brings all of WASI preview 1, and its functions that know no descriptor stay in use. Those that do share a
// table of descriptors that wazero keeps to itself, so one of them can only be replaced together with all others.
// They are replaced because programs of today's toolchains need what wazero leaves out: an inode for ".."
// in a listing, the rights and flags that a descriptor was opened with, renumbering onto a preopened directory,
// polling of output.
//
//	runtime: Instantiate        puts the functions into a runtime, once
//	program: NewProgram         one for each run: stdin, stdout, stderr and the directory that is its "/"
//	         Program.Context    what the module must be instantiated with
//	         Program.Close      closes what the program has left open
//
// # No way out
//
// A directory's descriptor holds an [os.Root], so a path that is given to it can't leave that directory, however it
// is spelt and whatever links it meets. This is the capability that WASI means by a directory's descriptor, and the
// reason why a job can't reach the machine's files. A link's target must be relative; it is checked when the link is
// followed. Where the last step is one that os.Root does not offer (renaming onto an empty directory, the times of a
// link), the directory that holds the last element is opened through os.Root, and the kernel takes this
// one step without following a link.
//
// A program has one thread: nothing here locks.
package wasi

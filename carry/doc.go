// Package carry is the format of files in which brokers give each other what a link would, by any carrier: a stick in a
// pocket, a directory that is synchronised, a store-and-forward network (docs/carry.md).
//
// A file is a preamble that anybody can read (who has packed it, for whom), and frames behind it. Each frame ends with a
// seal over all that comes before it in the file: in a city the signature of the broker that has packed it, elsewhere
// a hash. So of a file that was cut all whole frames can be used; and one that was changed, or put together from two, is
// refused where that begins. In a city the frames are encrypted to the brokers that may take the file in.
//
// What the frames hold the package carries, bounds and does not judge: whoever reads a file does that, as with a message
// (rules B1 to B3 of docs/protocol.md).
package carry

// Command hello is the warm module of the comparison: a Go program that says one word.
package main

import "fmt"

func main() { fmt.Println("hello") }

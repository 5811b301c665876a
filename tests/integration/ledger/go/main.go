// Reads a checkpoint and an inclusion proof with nothing but Debian's golang-golang-x-mod-dev.
//
// Usage: reader VKEY CHECKPOINT-FILE PROOF-FILE ENTRY-FILE INDEX. Prints what it verified; exit
// code 1 if it refuses. A reader of our format that shares no code with us.
package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	verifier := must(note.NewVerifier(os.Args[1]))
	signed := must(note.Open(must(os.ReadFile(os.Args[2])), note.VerifierList(verifier)))
	lines := strings.Split(signed.Text, "\n")
	if lines[0] != verifier.Name() {
		log.Fatal("the checkpoint is of another log")
	}
	size := must(strconv.ParseInt(lines[1], 10, 64))
	var root tlog.Hash
	copy(root[:], must(base64.StdEncoding.DecodeString(lines[2])))

	head, _, _ := bytes.Cut(must(os.ReadFile(os.Args[3])), []byte("\n\n"))
	var proof tlog.RecordProof
	for _, line := range strings.Split(string(head), "\n")[2:] {
		var hash tlog.Hash
		copy(hash[:], must(base64.StdEncoding.DecodeString(line)))
		proof = append(proof, hash)
	}
	index := must(strconv.ParseInt(os.Args[5], 10, 64))
	leaf := tlog.RecordHash(must(os.ReadFile(os.Args[4])))
	if err := tlog.CheckRecord(proof, size, root, index, leaf); err != nil {
		log.Fatal(err)
	}
	fmt.Println("entry", index, "of", size)
}

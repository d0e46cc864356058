package module

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// A signature of a module is in the module: in a custom section, which engines skip, so that it goes wherever the module goes. What is
// signed is a note (golang.org/x/mod/sumdb/note) with the digest of the module without all such sections. So a module can
// be signed by several, one after the other, and what it does depends on nothing that is not signed.

// signatureSection is the name of these custom sections. Their contents are the signatures' lines of the note.
const signatureSection = "ucp.signature"

const (
	customSection = 0
	maxSignatures = 16 << 10 // bytes of all signatures of a module that are read
)

// signedText is the text that is signed. No other kind of note of ours begins so.
func signedText(sum [sha256.Size]byte) string {
	return "ucp module\n" + hex.EncodeToString(sum[:]) + "\n"
}

// split reads a module, and returns the digest of what is signed and the signatures' lines. What is no whole section counts as
// content like any other.
func split(r io.Reader) (sum [sha256.Size]byte, lines string, err error) {
	h, in := sha256.New(), bufio.NewReaderSize(r, 64<<10)
	if _, err := io.CopyN(h, in, headerSize); err != nil {
		return sum, "", endOf(err)
	}
	for {
		head, _ := in.Peek(1 + binary.MaxVarintLen64 + 1 + len(signatureSection))
		if len(head) == 0 {
			break
		}
		size, n := binary.Uvarint(head[1:])
		if n <= 0 {
			break
		}
		begin := uint64(1 + n)
		name := append([]byte{byte(len(signatureSection))}, signatureSection...)
		if head[0] != customSection || !bytes.HasPrefix(head[begin:], name) || size < uint64(len(name)) || size > maxSignatures {
			if _, err := io.CopyN(h, in, int64(min(begin+size, 1<<62))); err != nil {
				return sum, "", endOf(err)
			}
			continue
		}
		section := make([]byte, begin+size)
		if k, err := io.ReadFull(in, section); err != nil { // cut off
			h.Write(section[:k])
			return sum, "", endOf(err)
		}
		if lines += string(section[begin+uint64(len(name)):]); len(lines) > maxSignatures {
			return sum, "", Refused{fmt.Errorf("it has more than %d bytes of signatures", maxSignatures)}
		}
	}
	if _, err := io.Copy(h, in); err != nil {
		return sum, "", err
	}
	return [sha256.Size]byte(h.Sum(nil)), lines, nil
}

func endOf(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Refused{errors.New("it ends early")}
	}
	return err
}

// claims reads the signatures' lines alone, without what is signed.
func claims(r io.ReadSeeker) (lines string, err error) {
	name := append([]byte{byte(len(signatureSection))}, signatureSection...)
	for at := int64(headerSize); ; {
		if _, err := r.Seek(at, io.SeekStart); err != nil {
			return "", err
		}
		head := make([]byte, 1+binary.MaxVarintLen64+len(name))
		k, err := io.ReadFull(r, head)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return "", err
		}
		size, n := binary.Uvarint(head[min(1, k):k])
		if n <= 0 || size > 1<<62 {
			return lines, nil
		}
		begin := int64(1 + n)
		if head[0] == customSection && bytes.HasPrefix(head[begin:k], name) && size >= uint64(len(name)) && size <= maxSignatures {
			text := make([]byte, size-uint64(len(name)))
			if _, err := r.Seek(at+begin+int64(len(name)), io.SeekStart); err != nil {
				return "", err
			}
			if _, err := io.ReadFull(r, text); err != nil {
				return lines, nil // cut off
			}
			if lines += string(text); len(lines) > maxSignatures {
				return "", nil
			}
		}
		at += begin + int64(size)
	}
}

// Sign returns a module with a signature of it added.
func Sign(b []byte, by note.Signer) ([]byte, error) {
	if err := Check(bytes.NewReader(b)); err != nil {
		return nil, err
	}
	sum, _, err := split(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	text := signedText(sum)
	signed, err := note.Sign(&note.Note{Text: text}, by)
	if err != nil {
		return nil, err
	}
	line := strings.TrimPrefix(string(signed), text+"\n")
	body := string(byte(len(signatureSection))) + signatureSection + line
	out := append(bytes.Clone(b), customSection)
	return append(binary.AppendUvarint(out, uint64(len(body))), body...), nil
}

// Signers reads a whole module, and returns those signatures on it that are valid by one of the keys, and those by keys that are not
// among them, about which nothing can be said. One that a key has not made although it says so is an error.
func Signers(r io.Reader, keys []note.Verifier) (valid, unknown []note.Signature, err error) {
	sum, lines, err := split(r)
	if err != nil || lines == "" {
		return nil, nil, err
	}
	n, err := note.Open([]byte(signedText(sum)+"\n"+lines), note.VerifierList(keys...))
	var unverified *note.UnverifiedNoteError
	switch {
	case errors.As(err, &unverified):
		return nil, unverified.Note.UnverifiedSigs, nil
	case errors.As(err, new(*note.InvalidSignatureError)):
		return nil, nil, err
	case err != nil:
		return nil, nil, Refused{fmt.Errorf("its signatures: %w", err)}
	}
	return n.Sigs, n.UnverifiedSigs, nil
}

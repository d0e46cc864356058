package city

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/label"
)

// Folder is a directory that holds an identity (package identity), and beside it the city's name and the key of its gossip.
type Folder struct{ identity.Folder }

// Of is the folder in a broker's data directory.
func Of(dataDir string) Folder { return At(filepath.Join(dataDir, "identity")) }

// At is the folder at a path.
func At(path string) Folder { return Folder{identity.Folder(path)} }

// nameFile holds the name that people gave the city.
const nameFile = "city"

// Keyring is the file with the keys of the city's gossip.
func (f Folder) Keyring() string { return filepath.Join(string(f.Folder), "keyring") }

// Held reports whether the folder holds an identity.
func (f Folder) Held() bool {
	_, err := f.Member()
	return !errors.Is(err, identity.ErrNoIdentity)
}

// CityName is the name that people gave the city; "" where they gave it none.
func (f Folder) CityName() (string, error) {
	b, err := f.Read(nameFile, 256)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
}

// keepName writes the name of the city.
func (f Folder) keepName(name string) error {
	if name == "" {
		return nil
	}
	if !label.ValidName(name) {
		return fmt.Errorf("the name of a city has letters, digits and . _ -, at most 64, the first a letter or digit: %.80q", name)
	}
	return f.Write(nameFile, []byte(name+"\n"))
}

// admittedFile names whom the authority that lies here has admitted, a name and the number of its latest admission a line.
const (
	admittedFile = "admitted"
	maxAdmitted  = 1 << 20 // bytes
)

// admitted is whom the authority that lies here has admitted so far: the number of the latest admission of each name.
func (f Folder) admitted() (map[string]uint64, error) {
	out := map[string]uint64{}
	b, err := f.Read(admittedFile, maxAdmitted)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		var name string
		var number uint64
		if _, err := fmt.Sscanf(line, "%s %d\n", &name, &number); err != nil {
			return nil, fmt.Errorf("%s: the list of those who were admitted is damaged: %w", f.Folder, err)
		}
		out[name] = number
	}
	return out, nil
}

// keepAdmitted adds to those who were admitted before.
func (f Folder) keepAdmitted(before map[string]uint64, more ...*identity.Admission) error {
	for _, a := range more {
		before[a.Name] = a.Number
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(before)) {
		fmt.Fprintf(&text, "%s %d\n", name, before[name])
	}
	return f.Write(admittedFile, []byte(text.String()))
}

// foundersFile holds the admissions with which the city began, beside the broker's own.
const foundersFile = "founders"

// founders are the admissions with which the city began, at the broker where it did.
func (f Folder) founders() (out []*identity.Admission, err error) {
	b, err := f.Read(foundersFile, 4<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a, err := identity.DecodeAdmission(b)
	if err != nil {
		return nil, err
	}
	return []*identity.Admission{a}, nil
}

// maxSecret bounds a file that holds a passphrase, in bytes.
const maxSecret = 4 << 10

// ReadSecret reads a passphrase from the first line of a file, which only its owner may be able to read.
func ReadSecret(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case info.Mode().Perm()&0o077 != 0:
		return "", fmt.Errorf("%s can be read by others (%v): chmod 600 it, and take another passphrase", path, info.Mode().Perm())
	case info.Size() > maxSecret:
		return "", fmt.Errorf("%s has %d bytes, at most %d are allowed", path, info.Size(), maxSecret)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("%s holds no passphrase in its first line", path)
	}
	return line, nil
}

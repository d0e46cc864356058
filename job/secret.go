package job

import (
	"fmt"
	"strings"
)

// maxSecrets is how many secrets a job may have.
const maxSecrets = 16

// SecretFile returns the path in the job's directory of a secret that the job gets as a file. As where commands are named, what has a
// slash is a path ("./key", "keys/van"); any other secret is a variable.
func SecretFile(name string) (path string, file bool) {
	return strings.TrimPrefix(name, "./"), strings.Contains(name, "/")
}

func (s *Spec) checkSecrets() error {
	if len(s.Secrets) > maxSecrets {
		return fieldError("secrets", "%d of them; at most %d are allowed", len(s.Secrets), maxSecrets)
	}
	var buf [8]string
	var files []string
	for _, k := range appendKeys(buf[:0], s.Secrets) {
		field := fmt.Sprintf("secrets[%q]", k)
		p, file := SecretFile(k)
		var err error
		if file {
			err = s.checkSecretFile(field, p, files)
			files = append(files, p)
		} else {
			err = s.checkSecretVariable(field, k)
		}
		if err != nil {
			return err
		}
		if !ValidDigest(s.Secrets[k]) {
			return fieldError(field, "it is not the SHA-256 of an uploaded blob; `ucp run --secret` encrypts and uploads it")
		}
	}
	return nil
}

func (s *Spec) checkSecretVariable(field, name string) error {
	if err := checkVariable(field, name, ""); err != nil {
		return err
	}
	if _, plain := s.Env[name]; plain {
		return fieldError(field, "it is in env, too; leave one of the two out")
	}
	return nil
}

// checkSecretFile refuses a file that would be where something else is, or be kept as an output.
func (s *Spec) checkSecretFile(field, p string, files []string) error {
	if err := checkPath(field, p); err != nil {
		return err
	}
	for _, other := range appendKeys(files, s.Inputs) {
		if other = strings.TrimSuffix(other, "/"); within(p, other) || within(other, p) {
			return fieldError(field, "%q is in its way", other)
		}
	}
	for _, out := range s.Outputs {
		if within(p, strings.TrimSuffix(out, "/")) {
			return fieldError(field, "it would be kept in clear as an output, %q", out)
		}
	}
	return nil
}

// within reports whether a path is another one, or below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

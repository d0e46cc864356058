package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxConfig bounds a config file, in bytes.
const maxConfig = 1 << 20

// setting is one key of a config file: its values as text, and where it stands.
type setting struct {
	key    string
	values []string
	where  string // "file:line"
}

// readConfig reads a config file: a YAML mapping from the names of known flags
// to a value, a list of values, or (for pairs) a mapping. Unknown and repeated
// keys are errors; every error names file and line. All mistakes are returned, with the settings that are in order.
func readConfig(path string, known []string) (out []setting, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the config file: %w", err)
	}
	if info.Size() > maxConfig {
		return nil, fmt.Errorf("config file %s has %d bytes, at most %d are allowed: is it the right file?", path, info.Size(), maxConfig)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the config file: %w", err)
	}
	file, err := parser.ParseBytes(bytes.TrimPrefix(b, byteOrderMark), 0)
	if err != nil {
		return nil, yamlError(path, err)
	}
	var wrong mistakes
	seen := map[string]string{}
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		pairs, err := mappingOf(doc.Body)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, line(doc.Body), err)
		}
		for _, p := range pairs {
			s, err := readSetting(path, p, known)
			if err != nil {
				wrong.add(fmt.Errorf("%s:%d: %w", path, line(p.Key), err))
				continue
			}
			if before := seen[s.key]; before != "" { // in another document of the file; within one, the parser says so
				wrong.add(fmt.Errorf("%s: %s: it stands there already, in line %s", s.where, s.key, strings.TrimPrefix(before, path+":")))
				continue
			}
			seen[s.key] = s.where
			out = append(out, s)
		}
	}
	return out, wrong.all()
}

// yamlError says in one line where a file is not YAML.
func yamlError(path string, err error) error {
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil {
		return fmt.Errorf("%s:%d: %s", path, e.GetToken().Position.Line, e.GetMessage())
	}
	return fmt.Errorf("%s: %w", path, err)
}

func line(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

func mappingOf(n ast.Node) ([]*ast.MappingValueNode, error) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, nil
	}
	return nil, errors.New("expected `key: value` lines, such as `name: a`")
}

func readSetting(path string, p *ast.MappingValueNode, known []string) (setting, error) {
	key, err := scalar(p.Key)
	if err != nil {
		return setting{}, err
	}
	if !slices.Contains(known, key) {
		hint := "the keys are the flags of `ucp agent` without their dashes in front; see `ucp agent --help`"
		if near := nearest(key, known); near != "" {
			hint = fmt.Sprintf("did you mean %q? %s", near, hint)
		}
		return setting{}, fmt.Errorf("unknown key %q; %s", key, hint)
	}
	values, err := valuesOf(p.Value)
	if err != nil {
		return setting{}, fmt.Errorf("%s: %w", key, err)
	}
	return setting{key: key, values: values, where: fmt.Sprintf("%s:%d", path, line(p.Key))}, nil
}

// valuesOf flattens a value into texts: one of a scalar, each of a list,
// "name=value" of each pair of a mapping.
func valuesOf(n ast.Node) (out []string, err error) {
	switch n := n.(type) {
	case *ast.SequenceNode:
		for _, v := range n.Values {
			s, err := scalar(v)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		return out, nil
	case *ast.MappingNode, *ast.MappingValueNode:
		pairs, err := mappingOf(n)
		if err != nil {
			return nil, err
		}
		for _, p := range pairs {
			k, err := scalar(p.Key)
			if err != nil {
				return nil, err
			}
			v, err := scalar(p.Value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			out = append(out, k+"="+v)
		}
		return out, nil
	}
	s, err := scalar(n)
	return []string{s}, err
}

// scalar returns a value as it was written: 0.50 and 010 stay as they are, so
// that the flag's parser sees what the command line would have given it.
func scalar(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return strings.TrimRight(n.Value.Value, "\n"), nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, nil
	case *ast.NullNode:
		return "", errors.New("it has no value; give it one, or leave the line out")
	}
	return "", errors.New("expected a plain value")
}

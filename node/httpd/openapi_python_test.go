package httpd

import (
	"fmt"
	"slices"
	"strings"
)

// keywords of Python that fields are called: a class can't have these.
var keywords = []string{
	"False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
	"elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda",
	"nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
}

// python is the schemas as types of Python.
func (s *schemas) python() string {
	var out strings.Builder
	out.WriteString(`"""The shapes of what is sent and answered, as docs/api/openapi.yaml has them. Answers may have more fields than stand here.

Made by ` + "`go test ./node/httpd -run TestOpenAPI -rewrite`" + `.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, TypedDict, Union
`)
	objects := slices.SortedFunc(slices.Values(s.objects), func(a, b object) int { return strings.Compare(a.name, b.name) })
	for _, o := range objects {
		o.python(&out)
	}
	return out.String()
}

// python writes a TypedDict. Fields that are always there stand in a class of their own where others may be left out, and those
// that are called like keywords of Python, which a class can't have, in a call.
func (o *object) python(out *strings.Builder) {
	var bases []string
	for _, required := range []bool{true, false} {
		var odd []string
		for _, f := range o.fields {
			if f.required == required && slices.Contains(keywords, f.name) {
				odd = append(odd, fmt.Sprintf("%q: %q", f.name, f.shape.python()))
			}
		}
		if odd != nil {
			base, total := "_"+o.name+"Odd", ""
			if !required {
				base, total = "_"+o.name+"OddOptional", ", total=False"
			}
			fmt.Fprintf(out, "\n%s = TypedDict(%q, {%s}%s)\n", base, base, strings.Join(odd, ", "), total)
			bases = append(bases, base)
		}
	}
	usual := func(required bool) (lines []string) {
		for _, f := range o.fields {
			if f.required == required && !slices.Contains(keywords, f.name) {
				if f.text != "" {
					lines = append(lines, "    # "+f.text)
				}
				lines = append(lines, fmt.Sprintf("    %s: %s", f.name, f.shape.python()))
			}
		}
		return lines
	}
	always, perhaps := usual(true), usual(false)
	if always != nil && perhaps != nil {
		fmt.Fprintf(out, "\n\nclass _%s(TypedDict):\n%s\n", o.name, strings.Join(always, "\n"))
		bases, always = append(bases, "_"+o.name), nil
	}
	total := ""
	if perhaps != nil {
		total = ", total=False"
	}
	if bases == nil {
		bases = []string{"TypedDict"}
	}
	text := o.text
	if text == "" {
		text = "See docs/api.md."
	}
	fmt.Fprintf(out, "\n\nclass %s(%s%s):\n    \"\"\"%s\"\"\"\n", o.name, strings.Join(bases, ", "), total, strings.ReplaceAll(text, `"`, "'"))
	if lines := append(always, perhaps...); lines != nil {
		fmt.Fprintf(out, "\n%s\n", strings.Join(lines, "\n"))
	}
}

// python is the shape as a type of Python.
func (x shape) python() (out string) {
	switch x.kind {
	case "string":
		out = "str"
	case "integer":
		out = "int"
	case "number":
		out = "float"
	case "boolean":
		out = "bool"
	case "any":
		return "Any"
	case "array":
		out = "List[" + x.of.python() + "]"
	case "map":
		out = "Dict[str, " + x.of.python() + "]"
	case "ref":
		out = x.ref
	case "either":
		var all []string
		for _, c := range x.choice {
			all = append(all, c.python())
		}
		out = "Union[" + strings.Join(all, ", ") + "]"
	}
	if x.nullable {
		out = "Optional[" + out + "]"
	}
	return out
}

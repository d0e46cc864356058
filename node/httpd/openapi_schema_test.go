package httpd

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

// document is a job's spec as people write it: each field may be left out, and the priority and the resources have more of them
// (job.ParseSpec).
type document struct{}

var specDocument = document{}

// shape is what a value may be in JSON.
type shape struct {
	kind     string // string, integer, number, boolean, any, array, map, ref or either
	format   string
	pattern  string
	of       *shape  // the elements of an array or a map
	ref      string  // the name of an object
	choice   []shape // of either
	nullable bool
}

// field is one of an object.
type field struct {
	name, text string
	required   bool
	shape      shape
}

// object is a struct.
type object struct {
	name, text string
	fields     []field
}

// schemas are the objects that are met.
type schemas struct {
	t        *testing.T
	names    map[string]string // of a type, and whether it is a document
	objects  []object
	comments map[string]map[string]string // of a package: of a type, and of its fields as type.field
}

func newSchemas(t *testing.T) *schemas {
	s := &schemas{t: t, names: map[string]string{}, comments: map[string]map[string]string{}}
	s.names["error"] = "Error"
	return s
}

// ref is a reference to the schema of a value's type.
func (s *schemas) ref(t *testing.T, v any) yaml.MapSlice {
	x := s.shapeOf(reflect.TypeOf(v), false)
	require.Equal(t, "ref", x.kind)
	return x.yaml()
}

// written are types whose JSON is not that of their kind.
var written = map[reflect.Type]shape{
	reflect.TypeFor[time.Time]():       {kind: "string", format: "date-time"},
	reflect.TypeFor[clock.Time]():      {kind: "string", format: "date-time", nullable: true},
	reflect.TypeFor[clock.Duration]():  {kind: "string", pattern: `^-?(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$`},
	reflect.TypeFor[clock.Vector]():    {kind: "map", of: &shape{kind: "integer"}},
	reflect.TypeFor[clock.Tips]():      {kind: "map", of: &shape{kind: "integer"}},
	reflect.TypeFor[job.Milli]():       {kind: "number"},
	reflect.TypeFor[job.LevelText]():   {kind: "either", choice: []shape{{kind: "string"}, {kind: "integer"}}},
	reflect.TypeFor[[]byte]():          {kind: "string", format: "byte"},
	reflect.TypeFor[json.RawMessage](): {kind: "any"},
}

// notForPeople are fields that only brokers write, among themselves.
var notForPeople = map[reflect.Type][]string{
	reflect.TypeFor[emergency.Declaration](): {"clear", "declared", "seq", "at", "by", "life"},
}

// shapeOf is the shape of a type; as says that it stands in a document.
func (s *schemas) shapeOf(t reflect.Type, as bool) shape {
	if x, is := written[t]; is {
		return x
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.shapeOf(t.Elem(), as)
	case reflect.String:
		return shape{kind: "string"}
	case reflect.Bool:
		return shape{kind: "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return shape{kind: "integer"}
	case reflect.Float64:
		return shape{kind: "number"}
	case reflect.Slice:
		of := s.shapeOf(t.Elem(), as)
		return shape{kind: "array", of: &of}
	case reflect.Map:
		of := s.shapeOf(t.Elem(), as)
		return shape{kind: "map", of: &of}
	case reflect.Interface:
		return shape{kind: "any"}
	case reflect.Struct:
		return shape{kind: "ref", ref: s.object(t, as)}
	}
	require.FailNow(s.t, "a type that OpenAPI's schema can't be told of yet", t.String())
	return shape{}
}

// object is the name of the schema of a struct, which is made when it is met first.
func (s *schemas) object(t reflect.Type, as bool) string {
	key := t.String()
	if as {
		key = "document " + key
	}
	if name, known := s.names[key]; known {
		return name
	}
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	switch pkg := filepath.Base(t.PkgPath()); {
	case t == reflect.TypeFor[document]():
		name = "SpecDocument"
	case as:
		name = "Spec" + name
	case slices.ContainsFunc(s.objects, func(o object) bool { return o.name == name }):
		name = strings.ToUpper(pkg[:1]) + pkg[1:] + name
	}
	require.False(s.t, slices.ContainsFunc(s.objects, func(o object) bool { return o.name == name }), "two schemas are called %s", name)
	s.names[key] = name
	at := len(s.objects)
	s.objects = append(s.objects, object{name: name})
	o := object{name: name, text: s.comment(t, t.Name()), fields: s.fields(t, as)}
	if t == reflect.TypeFor[document]() {
		o = object{name: name, text: "A job's spec, as people write it.", fields: s.specFields()}
	}
	s.objects[at] = o
	return name
}

// specFields are those of a spec as people write it.
func (s *schemas) specFields() []field {
	fields := s.fields(reflect.TypeFor[job.Spec](), true)
	for i := range fields {
		var more []field
		switch fields[i].name {
		case "resources":
			more = []field{{name: "disk", text: "bytes that an attempt may add to its directory", shape: shape{kind: "integer"}}}
		case "priority":
			more = []field{
				{name: "weight", text: "computational weight, 0 to 10, rounded to thousandths", shape: shape{kind: "number"}},
				{name: "urgency", text: "0 to 1, by how much it is urgent where there is no deadline", shape: shape{kind: "number"}},
				{name: "emergency", text: "a level, by its name or as a number, or an emergency's ID or type", shape: written[reflect.TypeFor[job.LevelText]()]},
			}
		default:
			continue
		}
		for j := range s.objects {
			if o := &s.objects[j]; o.name == fields[i].shape.ref {
				o.fields = slices.DeleteFunc(o.fields, func(f field) bool { return slices.ContainsFunc(more, func(m field) bool { return m.name == f.name }) })
				o.fields = append(o.fields, more...)
			}
		}
	}
	return fields
}

// fields are those of a struct, as package encoding/json sees them.
func (s *schemas) fields(t reflect.Type, as bool) (out []field) {
	own := strings.HasSuffix(t.PkgPath(), "/api") || strings.HasSuffix(t.PkgPath(), "/httpd")
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			out = append(out, s.fields(f.Type, as)...)
			continue
		}
		if !f.IsExported() || name == "-" || slices.Contains(notForPeople[t], name) {
			continue
		}
		if name == "" {
			name = f.Name
		}
		kind := f.Type.Kind()
		isTime := f.Type == reflect.TypeFor[time.Time]()
		left := strings.Contains(options, "omitzero") || strings.Contains(options, "omitempty") && kind != reflect.Struct && !isTime
		x := s.shapeOf(f.Type, as)
		switch {
		case left:
			x.nullable = false
		case kind == reflect.Pointer, kind == reflect.Slice && !own && f.Type != reflect.TypeFor[clock.Vector]() && f.Type != reflect.TypeFor[clock.Tips](), kind == reflect.Map && !own:
			x.nullable = true
		}
		out = append(out, field{name, s.comment(t, t.Name()+"."+f.Name), !left && !as, x})
	}
	return out
}

// comment is what the code says of a type or a field.
func (s *schemas) comment(t reflect.Type, of string) string {
	pkg, ours := strings.CutPrefix(t.PkgPath(), "github.com/urban-compute/ucp/")
	if !ours {
		return ""
	}
	if s.comments[pkg] == nil {
		s.comments[pkg] = readComments(s.t, filepath.Join("..", "..", filepath.FromSlash(pkg)))
	}
	return s.comments[pkg][of]
}

func readComments(t *testing.T, dir string) map[string]string {
	out := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			d, is := n.(*ast.GenDecl)
			if !is {
				return true
			}
			for _, spec := range d.Specs {
				ts, is := spec.(*ast.TypeSpec)
				if !is {
					continue
				}
				out[ts.Name.Name] = sentence(d.Doc, ts.Doc)
				st, is := ts.Type.(*ast.StructType)
				if !is {
					continue
				}
				for _, x := range st.Fields.List {
					for _, name := range x.Names {
						out[ts.Name.Name+"."+name.Name] = sentence(x.Doc, x.Comment)
					}
				}
			}
			return true
		})
	}
	return out
}

// sentence is the text of comments, in one line.
func sentence(groups ...*ast.CommentGroup) string {
	var parts []string
	for _, g := range groups {
		if text := strings.Join(strings.Fields(g.Text()), " "); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, " ")
}

// yaml is the shape as OpenAPI 3.0 says it.
func (x shape) yaml() (out yaml.MapSlice) {
	switch x.kind {
	case "ref":
		out = yaml.MapSlice{{Key: "$ref", Value: "#/components/schemas/" + x.ref}}
		if x.nullable { // beside $ref nothing counts
			return yaml.MapSlice{{Key: "nullable", Value: true}, {Key: "allOf", Value: []yaml.MapSlice{out}}}
		}
		return out
	case "any":
		return yaml.MapSlice{{Key: "description", Value: "any value"}}
	case "array":
		out = yaml.MapSlice{{Key: "type", Value: "array"}, {Key: "items", Value: x.of.yaml()}}
	case "map":
		out = yaml.MapSlice{{Key: "type", Value: "object"}, {Key: "additionalProperties", Value: x.of.yaml()}}
	case "either":
		var all []yaml.MapSlice
		for _, c := range x.choice {
			all = append(all, c.yaml())
		}
		out = yaml.MapSlice{{Key: "oneOf", Value: all}}
	default:
		out = yaml.MapSlice{{Key: "type", Value: x.kind}}
	}
	if x.format != "" {
		out = append(out, yaml.MapItem{Key: "format", Value: x.format})
	}
	if x.pattern != "" {
		out = append(out, yaml.MapItem{Key: "pattern", Value: x.pattern})
	}
	if x.nullable {
		out = append(out, yaml.MapItem{Key: "nullable", Value: true})
	}
	return out
}

// all are the schemas by their names.
func (s *schemas) all() (out yaml.MapSlice) {
	objects := slices.SortedFunc(slices.Values(s.objects), func(a, b object) int { return strings.Compare(a.name, b.name) })
	for _, o := range objects {
		var required []string
		properties := yaml.MapSlice{}
		for _, f := range o.fields {
			if f.required {
				required = append(required, f.name)
			}
			x := f.shape.yaml()
			if f.text != "" && x[0].Key != "$ref" {
				x = append(yaml.MapSlice{{Key: "description", Value: f.text}}, x...)
			}
			properties = append(properties, yaml.MapItem{Key: f.name, Value: x})
		}
		schema := yaml.MapSlice{{Key: "type", Value: "object"}}
		if o.text != "" {
			schema = append(schema, yaml.MapItem{Key: "description", Value: o.text})
		}
		if required != nil {
			schema = append(schema, yaml.MapItem{Key: "required", Value: required})
		}
		out = append(out, yaml.MapItem{Key: o.name, Value: append(schema, yaml.MapItem{Key: "properties", Value: properties})})
	}
	return out
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	compose "github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// source is the root of the source.
const source = "../.."

// kubernetes decodes a manifest strictly: a field that its type does not have, or one that is there twice, is an error.
func kubernetes(t *testing.T, path string) (objects []runtime.Object) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{core.AddToScheme, apps.AddToScheme, policy.AddToScheme, networking.AddToScheme} {
		require.NoError(t, add(scheme))
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for doc := range bytes.SplitSeq(text, []byte("\n---\n")) {
		object, kind, err := decoder.Decode(doc, nil, nil)
		require.NoError(t, err, "%s", doc)
		require.NotNil(t, kind)
		objects = append(objects, object)
	}
	return objects
}

// only is the one object of a type with a name.
func only[T meta.Object](t *testing.T, objects []runtime.Object, name string) T {
	var found []T
	for _, o := range objects {
		if x, is := o.(T); is && x.GetName() == name {
			found = append(found, x)
		}
	}
	require.Len(t, found, 1, name)
	return found[0]
}

// The manifest is what Kubernetes knows, and its parts belong together: services, budget and policy mean the pods of the set, brokers
// look for each other under the name of the headless service, and each port that is named is one of the container's.
func TestKubernetes(t *testing.T) {
	objects := kubernetes(t, filepath.Join(source, "deploy/kubernetes/ucp.yaml"))
	set := only[*apps.StatefulSet](t, objects, "ucp")
	pod := labels.Set(set.Spec.Template.Labels)
	selects := func(s *meta.LabelSelector) {
		selector, err := meta.LabelSelectorAsSelector(s)
		require.NoError(t, err)
		require.True(t, selector.Matches(pod), s)
		require.False(t, selector.Empty())
	}
	selects(set.Spec.Selector)
	selects(only[*policy.PodDisruptionBudget](t, objects, "ucp").Spec.Selector)
	require.Equal(t, intstr.FromInt32(1), *only[*policy.PodDisruptionBudget](t, objects, "ucp").Spec.MaxUnavailable)

	require.Len(t, set.Spec.Template.Spec.Containers, 1)
	broker := set.Spec.Template.Spec.Containers[0]
	ports := map[string]core.ContainerPort{}
	for _, p := range broker.Ports {
		ports[p.Name] = p
	}
	named := func(port intstr.IntOrString, protocol core.Protocol) {
		require.Contains(t, ports, port.StrVal)
		require.Equal(t, protocol, ports[port.StrVal].Protocol, port.StrVal)
	}
	gossip, clients := only[*core.Service](t, objects, "ucp-gossip"), only[*core.Service](t, objects, "ucp")
	for _, s := range []*core.Service{gossip, clients} {
		require.True(t, labels.SelectorFromSet(s.Spec.Selector).Matches(pod), s.Name)
		for _, p := range s.Spec.Ports {
			named(p.TargetPort, p.Protocol)
		}
	}
	require.Equal(t, gossip.Name, set.Spec.ServiceName)
	require.Equal(t, core.ClusterIPNone, gossip.Spec.ClusterIP)
	require.True(t, gossip.Spec.PublishNotReadyAddresses, "brokers that are not ready find each other")
	for _, p := range gossip.Spec.Ports {
		require.EqualValues(t, 7946, p.Port, "whatever a SRV record of it names is a port of gossip")
	}
	env := map[string]string{}
	for _, e := range broker.Env {
		env[e.Name] = e.Value
	}
	require.Equal(t, "dns:"+gossip.Name, env["UCP_RETRY_JOIN"])
	require.Contains(t, env, "UCP_NAME")

	for name, probe := range map[string]*core.Probe{"/healthz": broker.LivenessProbe, "/readyz": broker.ReadinessProbe} {
		require.Equal(t, name, probe.HTTPGet.Path)
		named(probe.HTTPGet.Port, core.ProtocolTCP)
	}
	require.Equal(t, "/healthz", broker.StartupProbe.HTTPGet.Path)
	for _, rule := range only[*networking.NetworkPolicy](t, objects, "ucp").Spec.Ingress {
		for _, p := range rule.Ports {
			named(*p.Port, *p.Protocol)
		}
	}
	for _, o := range objects {
		if x := o.(meta.Object); x.GetNamespace() != "" {
			require.Equal(t, only[*core.Namespace](t, objects, "ucp").Name, x.GetNamespace())
		}
	}
}

// A pod may do no more than its image needs, and its data outlive it.
func TestKubernetesPodIsConfined(t *testing.T) {
	objects := kubernetes(t, filepath.Join(source, "deploy/kubernetes/ucp.yaml"))
	set := only[*apps.StatefulSet](t, objects, "ucp")
	pod, broker := set.Spec.Template.Spec, set.Spec.Template.Spec.Containers[0]
	require.True(t, *pod.SecurityContext.RunAsNonRoot)
	require.EqualValues(t, nobody, *pod.SecurityContext.RunAsUser)
	require.EqualValues(t, nobody, *pod.SecurityContext.FSGroup, "the volume is the broker's")
	require.Equal(t, core.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
	require.False(t, *pod.AutomountServiceAccountToken)
	require.False(t, *pod.EnableServiceLinks, "the variables of a service named ucp begin with UCP_")
	require.False(t, *broker.SecurityContext.AllowPrivilegeEscalation)
	require.True(t, *broker.SecurityContext.ReadOnlyRootFilesystem)
	require.Equal(t, []core.Capability{"ALL"}, broker.SecurityContext.Capabilities.Drop)
	require.Greater(t, *pod.TerminationGracePeriodSeconds, int64(60), "drain-timeout, and what comes after it")
	mounts := map[string]string{}
	for _, m := range broker.VolumeMounts {
		mounts[m.Name] = m.MountPath
	}
	require.Len(t, set.Spec.VolumeClaimTemplates, 1)
	require.Equal(t, "/var/lib/ucp", mounts[set.Spec.VolumeClaimTemplates[0].Name])
}

// The compose file is one, and its services have a health check, a place for their data and time to leave.
func TestCompose(t *testing.T) {
	path := filepath.Join(source, "deploy/compose.yaml")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	project, err := loader.LoadWithContext(context.Background(), compose.ConfigDetails{
		WorkingDir: t.TempDir(), ConfigFiles: []compose.ConfigFile{{Filename: path, Content: text}},
	}, func(o *loader.Options) { o.SetProjectName("ucp", true) })
	require.NoError(t, err)
	require.Len(t, project.Services, 3)
	for name, s := range project.Services {
		require.Equal(t, compose.HealthCheckTest{"CMD", "/usr/bin/ucp", "health"}, s.HealthCheck.Test)
		require.Equal(t, "1m30s", s.StopGracePeriod.String())
		require.True(t, s.ReadOnly)
		require.Equal(t, []string{"ALL"}, s.CapDrop)
		require.Equal(t, name, *s.Environment["UCP_NAME"])
		require.Len(t, s.Volumes, 1)
		require.Equal(t, "/var/lib/ucp", s.Volumes[0].Target)
		require.Contains(t, project.Volumes, s.Volumes[0].Source)
		require.Contains(t, *s.Environment["UCP_RETRY_JOIN"], fmt.Sprint("dns:", name))
		for _, p := range s.Ports {
			require.Equal(t, "127.0.0.1", p.HostIP, "nobody else is asked for an identity")
		}
	}
}

// The Go webhook's handler in this process, with nothing around it: reviews in, answers out.
//
//	go-handler MILLISECONDS REVIEW…
//
// prints for each review the processor time of a call in microseconds: all of the process, for Go collects garbage on
// other threads. What the webhook logs goes to stderr, as it does by default.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/amazon-eks-pod-identity-webhook/pkg/cache"
	"github.com/aws/amazon-eks-pod-identity-webhook/pkg/containercredentials"
	"github.com/aws/amazon-eks-pod-identity-webhook/pkg/handler"
	admission "k8s.io/api/admission/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Between two looks at the time.
const calls = 20

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "go-handler:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 2 {
		return fmt.Errorf("expected milliseconds and reviews")
	}
	milliseconds, err := strconv.Atoi(arguments[0])
	if err != nil {
		return err
	}
	for _, path := range arguments[1:] {
		review, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		used, err := measure(review, time.Duration(milliseconds)*time.Millisecond)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		fmt.Println(used)
	}
	return nil
}

// measure calls the handler for some processor time, after half as much that does not count.
func measure(review []byte, limit time.Duration) (float64, error) {
	handle, role, err := handlerFor(review)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequest(http.MethodPost, "https://127.0.0.1/mutate?timeout=2s", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	var answer response
	call := func() {
		request.Body = body{bytes.NewReader(review)}
		answer.reset()
		handle(&answer, request)
	}
	call()
	if err := answer.gives(role); err != nil {
		return 0, err
	}
	for start := processorTime(); processorTime()-start < limit/2; {
		call()
	}
	count := 0
	for start := processorTime(); ; {
		for range calls {
			call()
		}
		count += calls
		if used := processorTime() - start; used >= limit {
			return float64(used.Nanoseconds()) / 1000 / float64(count), nil
		}
	}
}

// handlerFor knows the role of the review's ServiceAccount.
func handlerFor(review []byte) (http.HandlerFunc, string, error) {
	var read admission.AdmissionReview
	if err := json.Unmarshal(review, &read); err != nil {
		return nil, "", err
	}
	var pod core.Pod
	if err := json.Unmarshal(read.Request.Object.Raw, &pod); err != nil {
		return nil, "", err
	}
	role := "arn:aws:iam::111122223333:role/" + pod.Spec.ServiceAccountName
	accounts := cache.NewFakeServiceAccountCache(&core.ServiceAccount{ObjectMeta: meta.ObjectMeta{
		Namespace:   read.Request.Namespace,
		Name:        pod.Spec.ServiceAccountName,
		Annotations: map[string]string{"eks.amazonaws.com/role-arn": role},
	}})
	modifier := handler.NewModifier(
		nil,
		handler.WithServiceAccountCache(accounts),
		handler.WithContainerCredentialsConfig(&containercredentials.FakeConfig{}),
	)
	return modifier.Handle, role, nil
}

type body struct{ *bytes.Reader }

func (body) Close() error { return nil }

// response keeps what is written.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *response) reset() {
	r.header, r.status = http.Header{}, http.StatusOK
	r.body.Reset()
}

func (r *response) Header() http.Header { return r.header }

func (r *response) WriteHeader(status int) { r.status = status }

func (r *response) Write(bytes []byte) (int, error) { return r.body.Write(bytes) }

// gives says whether the answer's patch sets the role.
func (r *response) gives(role string) error {
	var answer admission.AdmissionReview
	if err := json.Unmarshal(r.body.Bytes(), &answer); err != nil {
		return err
	}
	if r.status != http.StatusOK || answer.Response == nil || !strings.Contains(string(answer.Response.Patch), `"`+role+`"`) {
		return fmt.Errorf("the handler gave no role: status %d, %s", r.status, r.body.String())
	}
	return nil
}

// processorTime is user and system time of all threads.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

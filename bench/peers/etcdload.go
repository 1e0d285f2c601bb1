// A lean gRPC load client for etcd, so that the peer is measured and not its client: requests are encoded once, by hand,
// and answers are not decoded. Build with Debian's golang-go and golang-google-grpc-dev:
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o etcdload etcdload.go
//
// It prints one JSON object: rps, p50 and p99 in milliseconds, err.
package main

import (
	"context"
	"flag"
	"fmt"
	"sort"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
)

// raw passes the bytes of a message through.
type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error)   { return *(v.(*[]byte)), nil }
func (raw) Unmarshal(d []byte, v interface{}) error { *(v.(*[]byte)) = d; return nil }
func (raw) Name() string                            { return "proto" }

var _ encoding.Codec = raw{}

// field appends a length-delimited protobuf field of less than 16384 bytes.
func field(message []byte, number byte, data []byte) []byte {
	message = append(message, number<<3|2)
	if len(data) >= 128 {
		message = append(message, byte(len(data)&0x7f|0x80), byte(len(data)>>7))
	} else {
		message = append(message, byte(len(data)))
	}
	return append(message, data...)
}

func main() {
	addresses := flag.String("addr", "127.0.0.1:2379", "where to connect")
	channels := flag.Int("chans", 4, "connections")
	callers := flag.Int("c", 64, "callers, each with one call outstanding")
	seconds := flag.Float64("s", 3, "how long")
	size := flag.Int("size", 256, "bytes of a value")
	read := flag.Bool("get", false, "linearizable Range instead of Put")
	flag.Parse()

	method := "/etcdserverpb.KV/Put"
	if *read {
		method = "/etcdserverpb.KV/Range"
	}
	connections := make([]*grpc.ClientConn, *channels)
	for i := range connections {
		connection, err := grpc.Dial(*addresses, grpc.WithInsecure(), grpc.WithBlock(),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
		if err != nil {
			panic(err)
		}
		connections[i] = connection
	}
	var lock sync.Mutex
	var all []float64
	var wait sync.WaitGroup
	errors := 0
	start := time.Now()
	end := start.Add(time.Duration(*seconds * 1e9))
	for caller := 0; caller < *callers; caller++ {
		wait.Add(1)
		go func(caller int) {
			defer wait.Done()
			var took []float64
			failed := 0
			value := make([]byte, *size)
			for n := 0; time.Now().Before(end); n++ {
				key := []byte(fmt.Sprintf("key-%05d-%08d", caller, n%1000))
				message := field(nil, 1, key)
				if !*read {
					message = field(message, 2, value)
				}
				var answer []byte
				begin := time.Now()
				if err := connections[caller%*channels].Invoke(context.Background(), method, &message, &answer); err != nil {
					failed++
				}
				took = append(took, float64(time.Since(begin).Microseconds())/1e3)
			}
			lock.Lock()
			all = append(all, took...)
			errors += failed
			lock.Unlock()
		}(caller)
	}
	wait.Wait()
	elapsed := time.Since(start).Seconds()
	sort.Float64s(all)
	n := len(all)
	fmt.Printf("{\"rps\": %.1f, \"p50\": %.3f, \"p99\": %.3f, \"err\": %d}\n",
		float64(n)/elapsed, all[n/2], all[n*99/100], errors)
}

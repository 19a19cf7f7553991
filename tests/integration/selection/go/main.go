// Selects values as External Secrets does: for each line {"document": …, "path": …} of standard input one
// line {"found": …, "value": …}, by the library (GJSON) that External Secrets uses and in its order: a path
// with dots is tried as one whole name first.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"
	"strings"

	_ "github.com/jmespath/go-jmespath" // for its compliance tests, which the build script copies
	"github.com/tidwall/gjson"
)

type question struct {
	Document string `json:"document"`
	Path     string `json:"path"`
}

type answer struct {
	Found bool   `json:"found"`
	Value string `json:"value"`
}

func selected(q question) answer {
	if strings.Contains(q.Path, ".") {
		whole := strings.ReplaceAll(q.Path, ".", `\.`)
		if value := gjson.Get(q.Document, whole); value.Exists() {
			return answer{true, value.String()}
		}
	}
	value := gjson.Get(q.Document, q.Path)
	return answer{value.Exists(), value.String()}
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var q question
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			log.Fatal(err)
		}
		if err := out.Encode(selected(q)); err != nil {
			log.Fatal(err)
		}
	}
}

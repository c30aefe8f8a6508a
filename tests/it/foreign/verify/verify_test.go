package verify

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"
)

func TestVectors(t *testing.T) {
	text, err := os.ReadFile(os.Getenv("VECTORS"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Name, Body string
		Valid      bool
		Secrets    []string
		Now        int64
		Headers    map[string]string
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		headers := http.Header{}
		for name, value := range row.Headers {
			headers.Set(name, value)
		}
		if Verify([]byte(row.Body), headers, row.Secrets, time.Unix(row.Now, 0)) != row.Valid {
			t.Error(row.Name)
		}
		fmt.Println(row.Name)
	}
}

// Command bundle adds the CA bundle of the image to the list of what is in it. It
// writes to standard output what it was given, a CycloneDX document, with one component more.
package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
)

// place is where the bundle is in the image.
const place = "/etc/ssl/certs/ca-certificates.crt"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: bundle SBOM CERTIFICATES")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	bundle, err := os.ReadFile(args[1])
	if err != nil {
		return fmt.Errorf("the CA bundle: %w (install ca-certificates, or name another with CA_BUNDLE=FILE)", err)
	}
	n, err := certificates(bundle)
	if err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	var bom map[string]any
	if err := json.Unmarshal(text, &bom); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	components, ok := bom["components"].([]any)
	if !ok {
		return fmt.Errorf("%s has no components: it is no list of what is in a program", args[0])
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(bundle))
	bom["components"] = append(components, map[string]any{
		"type": "file", "bom-ref": "file:" + place, "name": place, "version": "sha256:" + digest,
		"description": fmt.Sprintf("the %d CA certificates that TLS to object stores and registries is checked against", n),
		"hashes":      []any{map[string]any{"alg": "SHA-256", "content": digest}},
	})
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(bom)
}

// certificates counts those of a bundle.
func certificates(rest []byte) (n int, err error) {
	for {
		var p *pem.Block
		if p, rest = pem.Decode(rest); p == nil {
			break
		}
		if _, err := x509.ParseCertificate(p.Bytes); err != nil {
			return 0, fmt.Errorf("certificate %d: %w", n+1, err)
		}
		n++
	}
	if n == 0 {
		return 0, fmt.Errorf("no certificate in PEM is in it: nothing that speaks TLS could be reached")
	}
	return n, nil
}

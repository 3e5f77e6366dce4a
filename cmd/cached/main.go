// Command cached is a zone-level, content-addressed block cache that makes
// serverless cold starts fast.
package main

func main() {}

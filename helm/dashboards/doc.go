// Package dashboards makes the Grafana dashboards of the chart: JSON files of Grafana's
// schema version 39 from short definitions, so that every panel has the same variables,
// windows and colours. `go generate ./helm/dashboards` writes them into the chart.
package dashboards

//go:generate go run ./write ../cached/dashboards

package dashboards

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A Dashboard is one file.
type Dashboard struct {
	Name   string // of the file and the uid
	Title  string
	About  string
	Panels []Panel
}

// A Panel shows what some queries give.
type Panel struct {
	Title   string
	About   string // what to read from it
	Kind    Kind
	Unit    string // of Grafana's units
	Wide    int    // of 24 columns; 0: half
	Stacked bool
	Queries []Query
}

// A Query is in PromQL with Grafana's variables; Legend is a template.
type Query struct{ Expr, Legend string }

// A Kind is how a panel draws.
type Kind string

// The kinds of panels.
const (
	Lines   Kind = "timeseries"
	Number  Kind = "stat"
	Heatmap Kind = "heatmap"
	Table   Kind = "table"
)

// The variables of every dashboard: $datasource, $cluster, $zone and $node.
const (
	all     = `cluster=~"$cluster", zone=~"$zone", node=~"$node"`
	allZone = `cluster=~"$cluster", zone=~"$zone"`
)

const height = 8

// A Place is where a panel stands: Wide of 24 columns from Column on.
type Place struct{ Row, Column, Wide int }

// Places has one for each panel, in their order.
func (d Dashboard) Places() []Place {
	places := make([]Place, 0, len(d.Panels))
	row, column := 0, 0
	for _, p := range d.Panels {
		wide := p.Wide
		if wide == 0 {
			wide = 12
		}
		if column+wide > 24 {
			row, column = row+1, 0
		}
		places = append(places, Place{row, column, wide})
		column += wide
	}
	return places
}

// JSON is the dashboard as Grafana reads it.
func (d Dashboard) JSON() ([]byte, error) {
	panels := make([]any, 0, len(d.Panels))
	for i, place := range d.Places() {
		panel, err := d.Panels[i].json(i + 1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Name, err)
		}
		panel["gridPos"] = map[string]int{"x": place.Column, "y": place.Row * height, "w": place.Wide, "h": height}
		panels = append(panels, panel)
	}
	doc := map[string]any{
		"uid": "cached-" + d.Name, "title": "cached / " + d.Title, "description": d.About, "tags": []string{"cached"},
		"schemaVersion": 39, "version": 1, "editable": true, "graphTooltip": 1, "refresh": "30s", "timezone": "browser",
		"time":       map[string]string{"from": "now-1h", "to": "now"},
		"templating": map[string]any{"list": variables()},
		"links":      []any{map[string]any{"type": "dashboards", "title": "cached", "tags": []string{"cached"}, "asDropdown": true, "keepTime": true, "includeVars": true}},
		"panels":     panels,
	}
	p, err := json.MarshalIndent(doc, "", "  ")
	return append(p, '\n'), err
}

func variables() []any {
	list := []any{map[string]any{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0}}
	before := ""
	for _, name := range []string{"cluster", "zone", "node"} {
		list = append(list, map[string]any{
			"name": name, "label": strings.ToUpper(name[:1]) + name[1:], "type": "query", "datasource": source(),
			"query":   map[string]string{"query": fmt.Sprintf("label_values(cached_requests_in_flight{%s}, %s)", strings.TrimPrefix(before, ", "), name), "refId": name},
			"refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*",
			"current": map[string]any{"text": "All", "value": "$__all"},
		})
		before += fmt.Sprintf(`, %s=~"$%[1]s"`, name)
	}
	return list
}

func source() map[string]string {
	return map[string]string{"type": "prometheus", "uid": "${datasource}"}
}

func (p Panel) json(id int) (map[string]any, error) {
	if p.Title == "" || len(p.Queries) == 0 {
		return nil, fmt.Errorf("panel %d %q: want a title and a query", id, p.Title)
	}
	var targets []any
	for i, q := range p.Queries {
		t := map[string]any{"refId": string(rune('A' + i)), "expr": q.Expr, "legendFormat": q.Legend, "datasource": source(), "range": p.Kind != Table, "instant": p.Kind == Table}
		if p.Kind == Heatmap {
			t["format"] = "heatmap"
		}
		if p.Kind == Table {
			t["format"] = "table"
		}
		targets = append(targets, t)
	}
	custom := map[string]any{}
	var options map[string]any
	switch p.Kind {
	case Lines:
		custom = map[string]any{"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": false}
		if p.Stacked {
			custom["stacking"] = map[string]string{"mode": "normal"}
			custom["fillOpacity"] = 40
		}
		options = map[string]any{"legend": map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true}, "tooltip": map[string]string{"mode": "multi", "sort": "desc"}}
	case Number:
		options = map[string]any{"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}}, "colorMode": "value", "graphMode": "area"}
	case Heatmap:
		options = map[string]any{"calculate": false, "yAxis": map[string]string{"unit": p.Unit}, "color": map[string]any{"scheme": "Oranges", "mode": "scheme"}}
	case Table:
		options = map[string]any{"showHeader": true}
	default:
		return nil, fmt.Errorf("panel %q: kind %q", p.Title, p.Kind)
	}
	defaults := map[string]any{"unit": p.Unit, "custom": custom}
	if p.Unit == "percentunit" {
		defaults["min"], defaults["max"] = 0, 1
	}
	return map[string]any{
		"id": id, "type": string(p.Kind), "title": p.Title, "description": p.About, "datasource": source(),
		"targets": targets, "options": options, "fieldConfig": map[string]any{"defaults": defaults, "overrides": []any{}},
	}, nil
}

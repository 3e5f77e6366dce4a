package main

import (
	"html/template"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"google.golang.org/protobuf/types/known/durationpb"
)

// statusFuncs are what the status page's template may call.
var statusFuncs = template.FuncMap{
	"bytes":      humanize.IBytes,
	"epoch":      epochText,
	"inRing":     inRing,
	"percent":    percent,
	"percentCSS": percentCSS,
	"ratioCSS":   func(part, whole uint64) template.CSS { return percentCSS(share(part, whole)) },
	"duration":   func(d *durationpb.Duration) string { return d.AsDuration().Round(time.Second).String() },
}

func percentCSS(f float64) template.CSS {
	return template.CSS(strconv.FormatFloat(100*min(max(f, 0), 1), 'f', 1, 64) + "%")
}

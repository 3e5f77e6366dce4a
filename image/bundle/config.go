package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An imageConfig is application/vnd.oci.image.config.v1+json as far as a runtime
// hears of it.
type imageConfig struct {
	Created      string   `json:"created"`
	Author       string   `json:"author"`
	Architecture string   `json:"architecture"`
	Variant      string   `json:"variant"`
	OS           string   `json:"os"`
	OSVersion    string   `json:"os.version"`
	OSFeatures   []string `json:"os.features"`
	Config       struct {
		User         string              `json:"User"`
		ExposedPorts map[string]struct{} `json:"ExposedPorts"`
		Env          []string            `json:"Env"`
		Entrypoint   []string            `json:"Entrypoint"`
		Cmd          []string            `json:"Cmd"`
		Volumes      map[string]struct{} `json:"Volumes"`
		WorkingDir   string              `json:"WorkingDir"`
		Labels       map[string]string   `json:"Labels"`
		StopSignal   string              `json:"StopSignal"`
	} `json:"config"`

	missing bool // the image has no config
}

func parseConfig(p []byte) (imageConfig, error) {
	if len(p) == 0 {
		return imageConfig{missing: true}, nil
	}
	var c imageConfig
	if err := json.Unmarshal(p, &c); err != nil {
		return c, fmt.Errorf("config of the image: %w", err)
	}
	if c.OS != "" && c.OS != "linux" {
		return c, fmt.Errorf("config of the image: it is for %s, and only linux has a bundle here", c.OS)
	}
	return c, nil
}

// command is what the image and opts amount to.
func (c imageConfig) command(opts Options) ([]string, error) {
	entry, args := c.Config.Entrypoint, c.Config.Cmd
	if opts.Entrypoint != nil {
		entry, args = opts.Entrypoint, nil
	}
	if len(opts.Args) > 0 {
		args = opts.Args
	}
	command := slices.Concat(entry, args)
	switch {
	case len(command) > 0 && command[0] != "":
		return command, checkText("command", command)
	case len(command) > 0:
		return nil, errors.New("command: the program to run is an empty name")
	case c.missing:
		return nil, fmt.Errorf("%w: the image has no config, it was published from a directory or file: give a command after --", ErrNoCommand)
	}
	return nil, fmt.Errorf("%w: the image's config has neither Entrypoint nor Cmd: give a command after --", ErrNoCommand)
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is the image's with more behind it, each variable once, and a PATH.
func (c imageConfig) environment(more []string) ([]string, error) {
	var env []string
	at := map[string]int{}
	for _, v := range slices.Concat(c.Config.Env, more) {
		name, _, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("environment: %q is not NAME=value", v)
		}
		if i, ok := at[name]; ok {
			env[i] = v
			continue
		}
		at[name] = len(env)
		env = append(env, v)
	}
	if _, ok := at["PATH"]; !ok {
		env = append(env, defaultPath)
	}
	return env, checkText("environment", env)
}

// workingDir is where the process begins.
func (c imageConfig) workingDir() (string, error) {
	dir := c.Config.WorkingDir
	switch {
	case dir == "":
		return "/", nil
	case !strings.HasPrefix(dir, "/"):
		return "", fmt.Errorf("working directory %q: not absolute", dir)
	}
	return dir, checkText("working directory", []string{dir})
}

// checkText refuses what no system call takes.
func checkText(what string, list []string) error {
	for _, s := range list {
		if strings.Contains(s, "\x00") {
			return fmt.Errorf("%s: %q holds a zero byte", what, s)
		}
	}
	return nil
}

// obeyed are beginnings of annotations that are orders to a runtime, among them
// to run or to write files outside of the container: crun's, those for systemd, and
// those of managers above. An image has no business giving them.
var obeyed = []string{"run.oci.", "org.systemd.property.", "io.kubernetes.", "io.katacontainers."}

// annotations returns what the config says about the image, and the labels left out.
// A label goes before what the rest of the config says.
func (c imageConfig) annotations() (map[string]string, []string) {
	all := map[string]string{}
	for key, value := range map[string]string{
		"os": c.OS, "architecture": c.Architecture, "variant": c.Variant, "os.version": c.OSVersion,
		"os.features": strings.Join(c.OSFeatures, ","), "author": c.Author, "created": c.Created,
		"stopSignal":   c.Config.StopSignal,
		"exposedPorts": strings.Join(slices.Sorted(maps.Keys(c.Config.ExposedPorts)), ","),
	} {
		if value != "" {
			all["org.opencontainers.image."+key] = value
		}
	}
	var omitted []string
	for key, value := range c.Config.Labels {
		if key == "" || slices.ContainsFunc(obeyed, func(begin string) bool { return strings.HasPrefix(key, begin) }) {
			omitted = append(omitted, key)
			continue
		}
		all[key] = value
	}
	slices.Sort(omitted)
	return all, omitted
}

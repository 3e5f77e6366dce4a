package images

import (
	"fmt"
	"strings"
)

// A recipe is an image and what its layers are made by.
type recipe struct {
	Image
	base   layer
	script string // of tiny's runtime layer, after the packages are there
	edit   edit   // of the package that v2 rebuilds
}

// An edit adds a comment to the files of a package with a suffix.
type edit struct{ suffix, line string }

// minbase is the base of all images but tiny: the packages and the excluded paths
// of Debian's slim images, which most of the field's images stand on. Without
// usr-is-merged apt takes usrmerge, and with it all of Perl.
var minbase = layer{
	Name: baseLayer, Variant: "minbase", Packages: []string{"usr-is-merged"}, Shell: "/bin/sh", Script: noServices + tidy, Doing: "tidying",
	Exclude: []string{
		"/usr/share/doc/*", "/usr/share/info/*", "/usr/share/linda/*", "/usr/share/lintian/*",
		"/usr/share/locale/*", "/usr/share/man/*", "/usr/share/groff/*",
	},
}

var busybox = layer{
	Name: baseLayer, Variant: "extract", Packages: []string{"busybox-static"}, Shell: "/bin/busybox sh",
	Script: "/bin/busybox --install -s /bin", Doing: "making links to busybox",
}

const pathEnv = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Users that every Debian base has.
const (
	wwwData = "33:33"
	nobody  = "65534:65534"
)

func recipes() []recipe {
	all := table()
	for i := range all {
		all[i].Tag, all[i].Dir = "v1", "/app"
	}
	return all
}

func table() []recipe {
	python := []string{pathEnv, "LANG=C.UTF-8", "HOME=/tmp", "PYTHONUNBUFFERED=1"}
	return []recipe{{
		Image: Image{
			Name: "tiny", About: "busybox prints a line; for tests",
			Packages: []string{"netbase"}, Rebuilt: "netbase",
			Entrypoint: []string{"/bin/sh"}, Cmd: []string{"start.sh"}, Env: []string{pathEnv}, User: nobody,
			Ready: Ready{Text: "ready"},
		},
		base:   busybox,
		script: "rm -r /usr/share/doc/busybox-static",
	}, {
		Image: Image{
			Name: "flask", About: "web service in Python: gunicorn and Flask",
			Packages: []string{"python3-flask", "gunicorn"}, Rebuilt: "python3-itsdangerous",
			Entrypoint: []string{"gunicorn"}, Cmd: []string{"--workers", "1", "--worker-tmp-dir", "/dev/shm", "app:app"},
			Env: append(python, "PORT=8000"), User: wwwData,
			Ready: Ready{Port: 8000, Text: "ready"},
		},
		base: minbase, edit: edit{".py", "# rebuilt"},
	}, {
		Image: Image{
			Name: "node", About: "web service in JavaScript: Node.js and Express",
			Packages: []string{"nodejs", "node-express"}, Rebuilt: "node-qs",
			Entrypoint: []string{"node"}, Cmd: []string{"app.js"},
			Env:  []string{pathEnv, "LANG=C.UTF-8", "HOME=/tmp", "NODE_ENV=production", "NODE_PATH=/usr/share/nodejs", "PORT=8000"},
			User: wwwData, Ready: Ready{Port: 8000, Text: "ready"},
		},
		base: minbase, edit: edit{".js", "// rebuilt"},
	}, {
		Image: Image{
			Name: "pyml", About: "one inference with scikit-learn and pandas",
			Packages: []string{"python3-sklearn", "python3-pandas"}, Rebuilt: "python3-joblib",
			Entrypoint: []string{"python3"}, Cmd: []string{"app.py"}, Env: python, User: nobody,
			Ready: Ready{Text: "ready"},
		},
		base: minbase, edit: edit{".py", "# rebuilt"},
	}, {
		Image: Image{
			Name: "chrome", About: "headless Chromium prints a page's DOM",
			Packages: []string{"chromium"}, Rebuilt: "fontconfig-config",
			Entrypoint: []string{"chromium"},
			Cmd: []string{
				"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=/tmp/chromium",
				"--dump-dom", "file:///app/page.html",
			},
			Env: []string{pathEnv, "LANG=C.UTF-8", "HOME=/tmp"}, User: nobody,
			// page.js writes it: the page's own source does not have the word.
			Ready: Ready{Text: "ready"},
		},
		base: minbase, edit: edit{".conf", "<!-- rebuilt -->"},
	}, {
		Image: Image{
			Name: "torch", About: "one inference with PyTorch",
			Packages: []string{"python3-torch"}, Rebuilt: "python3-typing-extensions",
			Entrypoint: []string{"python3"}, Cmd: []string{"app.py"}, Env: python, User: nobody,
			Ready: Ready{Text: "ready"},
		},
		base: minbase, edit: edit{".py", "# rebuilt"},
	}}
}

// layers returns the image's layers, lowest first.
func (r recipe) layers() ([]layer, error) {
	base := r.base
	runtime := layer{Name: runtimeLayer, On: &base, Shell: base.Shell, Script: r.script, Doing: "removing documentation"}
	if base.Variant == "extract" {
		runtime.Variant, runtime.Packages = base.Variant, r.Packages
	} else {
		runtime.Script, runtime.Doing = install(r.Packages)+tidy, "installing "+strings.Join(r.Packages, " ")
	}
	if r.Tag == "v2" {
		first := runtime
		runtime = layer{Name: runtimeLayer, On: &base, Shell: base.Shell, Changes: &first, Doing: "rebuilding " + r.Rebuilt}
		if base.Variant == "extract" {
			runtime.Script = "echo '# rebuilt' >> /etc/services"
		} else {
			runtime.Script = rebuild(r.Rebuilt, r.edit) + tidy
		}
	}
	files, err := appFiles(r.Name, r.Tag)
	if err != nil {
		return nil, fmt.Errorf("app layer: %w", err)
	}
	return []layer{base, runtime, {Name: appLayer, On: &runtime, Files: files}}, nil
}

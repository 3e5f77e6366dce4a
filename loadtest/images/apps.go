package images

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

//go:embed apps
var apps embed.FS

// news is what v2 has more than v1.
const news = "v2: says that it is v2\n"

// appFiles returns the files of the app layer by their path in the image.
func appFiles(name, tag string) (map[string]string, error) {
	files := map[string]string{}
	dir := path.Join("apps", name)
	err := fs.WalkDir(apps, dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := apps.ReadFile(p)
		if err != nil {
			return err
		}
		at := path.Join("app", strings.TrimPrefix(p, dir))
		files[at] = strings.ReplaceAll(string(text), "VERSION", tag)
		return nil
	})
	if tag != "v1" {
		files["app/NEWS"] = news
	}
	return files, err
}

// Two real watchers that applications use: fsnotify on a directory and on a file, and viper's
// WatchConfig. Prints one line for each thing heard, and "ready" when all watches are set.
//
// Usage: watchers fsnotify PATH… | viper CONFIG.yaml KEY
package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
	"github.com/spf13/viper"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "watchers:", err)
		os.Exit(1)
	}
}

func watchPaths(paths []string) {
	watcher, err := fsnotify.NewWatcher()
	fail(err)
	for _, path := range paths {
		fail(watcher.Add(path))
	}
	fmt.Println("ready")
	for {
		select {
		case event := <-watcher.Events:
			fmt.Println(event.Op, event.Name)
		case err := <-watcher.Errors:
			fail(err)
		}
	}
}

func watchConfig(path, key string) {
	config := viper.New()
	config.SetConfigFile(path)
	fail(config.ReadInConfig())
	config.OnConfigChange(func(fsnotify.Event) {
		fmt.Println("changed", config.GetString(key))
	})
	config.WatchConfig()
	fmt.Println("ready", config.GetString(key), filepath.Base(path))
	bufio.NewReader(os.Stdin).ReadByte() // until the test closes our input
}

func main() {
	switch {
	case len(os.Args) >= 3 && os.Args[1] == "fsnotify":
		watchPaths(os.Args[2:])
	case len(os.Args) == 4 && os.Args[1] == "viper":
		watchConfig(os.Args[2], os.Args[3])
	default:
		fmt.Fprintln(os.Stderr, "usage: watchers fsnotify PATH… | viper CONFIG KEY")
		os.Exit(2)
	}
}

// The Vault server that the tests run: HashiCorp's own command, built from its published Go module.
package main

import (
	"os"

	"github.com/hashicorp/vault/command"
)

func main() { os.Exit(command.Run(os.Args[1:])) }

// The Pulumi program of the ingestion platform.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/infra/stack"
)

func main() { pulumi.Run(stack.Deploy) }

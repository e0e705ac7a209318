//go:build deps

package ddl

import (
	_ "github.com/cloudspannerecosystem/memefish"
	_ "cloud.google.com/go/spanner"
	_ "cloud.google.com/go/spanner/admin/database/apiv1"
	_ "cloud.google.com/go/spanner/admin/instance/apiv1"
	_ "github.com/google/go-cmp/cmp"
)

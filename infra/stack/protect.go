package stack

// validateProtection refuses options of single families that let data go, in a
// stack that is not disposable.
func (c *Config) validateProtection(errs *problems) {
	if !c.Protect {
		return
	}
	for _, option := range []struct {
		path string
		set  bool
		want string
	}{
		{"ingestion:audio.forceDestroy", c.Audio.ForceDestroy, "false"},
		{"ingestion:documents.forceDestroy", c.Documents.ForceDestroy, "false"},
		{"ingestion:exports.forceDestroy", c.Exports.ForceDestroy, "false"},
		{"ingestion:audit.forceDestroy", c.Audit.ForceDestroy, "false"},
		{"ingestion:keys.protect", !c.Keys.Protect, "true"},
	} {
		if option.set {
			errs.add(option.path, "must be %s, unless ingestion:protect is false, which makes the stack disposable", option.want)
		}
	}
}

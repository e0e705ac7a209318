package service

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Config is what every service and job is configured with. It is embedded in
// their own configuration.
type Config struct {
	Project      string     `env:"GOOGLE_CLOUD_PROJECT,required,notEmpty"`
	LogLevel     slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	MaxBodyBytes int64      `env:"MAX_BODY_BYTES" envDefault:"1048576"` // largest accepted request body
	Port         int        `env:"PORT" envDefault:"8080"`              // set by Cloud Run
	Revision     string     `env:"K_REVISION"`                          // set by Cloud Run
}

// Common returns the configuration itself; it makes every struct that embeds
// it a Configuration.
func (c Config) Common() Config { return c }

// Configuration is a struct with env tags that embeds Config. If it has a
// method Validate() error, that is called once all of it is read.
type Configuration interface{ Common() Config }

// loadConfig reads C from the environment and returns every mistake at once.
// The errors name variables and never their values.
func loadConfig[C Configuration](environ []string) (C, error) {
	var cfg C
	errs := describe(env.ParseWithOptions(&cfg, env.Options{Environment: env.ToMap(environ)}), reflect.TypeOf(cfg))
	common := cfg.Common()
	if common.MaxBodyBytes <= 0 {
		errs = append(errs, errors.New("MAX_BODY_BYTES must be positive"))
	}
	if common.Port < 0 || common.Port > 65535 { // 0 takes a free one
		errs = append(errs, errors.New("PORT must be between 0 and 65535"))
	}
	if v, ok := any(cfg).(interface{ Validate() error }); ok && len(errs) == 0 {
		errs = append(errs, v.Validate())
	}
	if err := errors.Join(errs...); err != nil {
		return cfg, fmt.Errorf("configuration: %w", err)
	}
	return cfg, nil
}

// describe turns env's errors into one for each variable, in a stable order.
func describe(err error, config reflect.Type) []error {
	if err == nil {
		return nil
	}
	causes := []error{err}
	var all env.AggregateError
	if errors.As(err, &all) {
		causes = all.Errors
	}
	var lines []string
	for _, cause := range causes {
		var unset env.VarIsNotSetError
		var empty env.EmptyVarError
		var parse env.ParseError
		switch {
		case errors.As(cause, &unset):
			lines = append(lines, unset.Key+" is not set")
		case errors.As(cause, &empty):
			lines = append(lines, empty.Key+" is empty")
		case errors.As(cause, &parse):
			lines = append(lines, fmt.Sprintf("%s is not a %s", cmp.Or(variable(config, parse), parse.Name), parse.Type))
		default:
			lines = append(lines, cause.Error())
		}
	}
	slices.Sort(lines)
	var errs []error
	for _, line := range slices.Compact(lines) { // two parts of a config may need the same variable
		errs = append(errs, errors.New(line))
	}
	return errs
}

// variable finds the environment variable of the field that did not parse.
func variable(config reflect.Type, parse env.ParseError) string {
	for i := range config.NumField() {
		f := config.Field(i)
		if f.Name == parse.Name && f.Type == parse.Type {
			name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
			return name
		}
		if f.Type.Kind() == reflect.Struct {
			if name := variable(f.Type, parse); name != "" {
				return name
			}
		}
	}
	return ""
}

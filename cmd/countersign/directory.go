package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd"
	"countersign/tms/directory"
)

// openUsers makes the user repository of the configuration, nil when it has no
// directory. Nobody is contacted yet.
func openUsers(cfg *conf.Config, clock func() time.Time, logger *slog.Logger, registry prometheus.Registerer) (*directory.Repository, error) {
	if len(cfg.Directories) == 0 {
		return nil, nil
	}
	o := directory.Options{DefaultRealm: cfg.Users.DefaultRealm, Fold: foldUser, Clock: clock, Logger: logger, Registerer: registry}
	for i := range cfg.Directories {
		c, err := directoryConfig(&cfg.Directories[i])
		if err != nil {
			return nil, err
		}
		o.Directories = append(o.Directories, c)
	}
	return directory.New(o)
}

// directoryConfig is a [[directory]] of the configuration.
func directoryConfig(d *conf.Directory) (directory.Config, error) {
	typ, err := directory.ParseType(string(d.Type))
	if err != nil {
		return directory.Config{}, err
	}
	return directory.Config{
		Name: d.Name, Type: typ, Servers: d.Servers, StartTLS: d.StartTLS, CAFile: d.CAFile,
		BindDN: d.BindDN, BindPassword: directory.NewPassword(d.BindPassword.Bytes()),
		BaseDN: d.BaseDN, GroupBaseDN: d.GroupBaseDN, Realms: d.Realms,
		LoginAttributes: d.LoginAttributes, NameAttribute: d.NameAttribute, UserFilter: d.UserFilter, GroupFilter: d.GroupFilter,
		MailAttribute: d.MailAttribute, PhoneAttribute: d.PhoneAttribute, NestedGroups: d.NestedGroups, GroupDepth: d.GroupDepth,
		Timeout: d.Timeout, CacheTime: d.CacheTime, StaleTime: d.StaleTime, NotFoundTime: d.NotFoundTime,
		CacheUsers: d.CacheUsers, PageSize: d.PageSize, Connections: d.Connections,
	}, nil
}

// userRepository is the user repository in the words of radiusd.
type userRepository struct{ *directory.Repository }

// passwordVerdicts are the words of package directory in those of package otp.
var passwordVerdicts = map[directory.Refusal]otp.Verdict{
	directory.Agreed:          otp.Accepted,
	directory.WrongPassword:   otp.WrongPassword,
	directory.PasswordExpired: otp.PasswordExpired,
	directory.AccountDisabled: otp.DirectoryDisabled,
	directory.AccountLocked:   otp.DirectoryLocked,
	directory.OtherRefusal:    otp.DirectoryRefused,
}

// VerifyPassword implements radiusd.UserRepository.
func (u userRepository) VerifyPassword(ctx context.Context, identity *exclusions.Identity, password []byte) (otp.Verdict, error) {
	refusal, err := u.Repository.VerifyPassword(ctx, identity, password)
	if err != nil {
		return otp.Undecided, err
	}
	return passwordVerdicts[refusal], nil
}

// checkSettings is a conf.Check: it finds what no directory can be used with.
func checkSettings(cfg *conf.Config, fault func(key, problem, remedy string)) {
	users, err := openUsers(cfg, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if users != nil {
		users.Close()
	}
	for _, one := range unjoin(err) {
		var wrong *directory.SettingError
		if !errors.As(one, &wrong) {
			fault("directory", one.Error(), "correct it")
			continue
		}
		switch at := slices.IndexFunc(cfg.Directories, func(d conf.Directory) bool { return d.Name == wrong.Directory }); wrong.Setting {
		case "bind_dn", "bind_password_file": // conf has held the account against its password
		case "default_realm":
			fault("users.default_realm", wrong.Problem, wrong.Remedy)
		default:
			fault(fmt.Sprintf("directory[%d].%s", max(at, 0), wrong.Setting), wrong.Problem, wrong.Remedy)
		}
	}
}

// unjoin are the errors that errors.Join has joined.
func unjoin(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
		return nil
	case !ok:
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, unjoin(one)...)
	}
	return all
}

// checkDirectories contacts every server of every directory and prints one line
// each.
func (a *app) checkDirectories(cfg *conf.Config) error {
	users, err := openUsers(cfg, a.clock, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if users == nil {
		return err
	}
	defer users.Close()
	failed := 0
	for _, c := range users.Check(context.Background()) {
		if c.Err == nil {
			a.say("directory %s, %s: good", c.Directory, c.Server)
			continue
		}
		failed++
		fmt.Fprintf(a.err, "directory %s, %s: %v\n", c.Directory, c.Server, c.Err)
	}
	if failed > 0 { // and asking on could lock the account
		return exitStatus(1)
	}
	missing := missingGroups(context.Background(), users, groupsOf(cfg))
	for _, problem := range missing {
		fmt.Fprintln(a.err, problem)
	}
	if len(missing) > 0 {
		return exitStatus(1)
	}
	return nil
}

// groupKey is a group, and the key of the configuration that names it.
type groupKey struct{ key, group string }

// groupsOf are the groups that decide who may have a token, and who verifies codes: were one
// misspelt, its members would be locked out.
func groupsOf(cfg *conf.Config) []groupKey {
	var groups []groupKey
	for _, group := range cfg.Enrol.Groups {
		groups = append(groups, groupKey{"enrol.groups", group})
	}
	if !cfg.TMS.Exists() {
		return groups
	}
	if kind, group := cfg.TMS.Repository(); kind == "group" {
		groups = append(groups, groupKey{"tms.user_repository", group})
	}
	for i := range cfg.Orders {
		for _, group := range slices.Concat(cfg.Orders[i].Groups, cfg.Orders[i].NotGroups) {
			groups = append(groups, groupKey{fmt.Sprintf("order[%d]", i), group})
		}
	}
	return groups
}

// missingGroups are those of the groups that cannot be found, each with why, in one line.
func missingGroups(ctx context.Context, users *directory.Repository, groups []groupKey) []string {
	var missing []string
	for _, g := range groups {
		found, err := users.GroupExists(ctx, g.group)
		switch {
		case err != nil:
			missing = append(missing, fmt.Sprintf("%s: %q is not verified: %v", g.key, g.group, err))
		case !found:
			missing = append(missing, fmt.Sprintf("%s: no directory has a group %q that the account of bind_dn may see: "+
				"nobody is in it, so correct its name or DN, or group_base_dn and group_filter", g.key, g.group))
		}
	}
	return missing
}

// presetOf is what is known of the make of a gateway.
func presetOf(n *conf.NAS) radiusd.PresetConfig {
	preset, known := radiusd.Preset(string(n.Preset))
	if !known {
		panic("conf takes a preset that radiusd does not have: " + string(n.Preset)) // TestEveryPresetIsKnown
	}
	return preset
}

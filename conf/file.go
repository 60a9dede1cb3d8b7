package conf

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"
)

// Check looks at a Config for what this package cannot tell, such as the values
// of rules, and calls fault for what is wrong. The key is written as in Fault;
// "exclusion[2].client_macs[1]" finds the line of this very value.
//
// It is called when the text was TOML, after all else was looked at and whatever
// that found: a key with a fault has its default, and an element of a list of
// texts or of tables that has one is empty. Of those, Check may say what it
// likes: a fault of a key that has one already is dropped, and one of what is in
// it, or of the list or table around it.
type Check func(c *Config, fault func(key, problem, remedy string))

// Load reads the configuration file at path, for serving: it must have a NAS.
//
// The error is a Faults when the file could be read and something in it, or in
// a file it names, is wrong.
func Load(path string, checks ...Check) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading configuration %q: %w", path, withoutPath(err))
	}
	config, report := parse(path, text)
	if config != nil && len(config.NAS) == 0 {
		report.addMissing("nas", "there is no NAS, so nobody could log in",
			`add one: [[nas]] and below it name = "gateway", addresses = ["192.0.2.10"] and secret_file = "gateway.secret"`)
	}
	report.run(checks, config)
	if err := report.err(); err != nil {
		return nil, err
	}
	return config, nil
}

// Parse is Load for a text that is at hand. The name stands in faults, and its
// folder is the one that paths in the text are relative to. Unlike Load it
// takes a configuration without a NAS, such as Sample. The error is a Faults.
func Parse(name string, text []byte, checks ...Check) (*Config, error) {
	config, report := parse(name, text)
	report.run(checks, config)
	if err := report.err(); err != nil {
		return nil, err
	}
	return config, nil
}

// DataDir reads nothing but data_dir of the file at path, for commands to a server
// that runs although there are faults in the file by now. It returns false when
// the file is not TOML, or data_dir no text.
func DataDir(path string) (string, bool) {
	config := Defaults()
	var file struct {
		DataDir *string `toml:"data_dir"`
	}
	if _, err := toml.DecodeFile(path, &file); err != nil {
		return "", false
	}
	if file.DataDir != nil {
		config.DataDir = *file.DataDir
	}
	config.resolve(filepath.Dir(path))
	return config.DataDir, config.DataDir != ""
}

// KeyFile returns the path of the key that seals seeds and PINs. It is
// store.key_file if that is set; else the systemd credential countersign.key
// if there is one in credentialsDir, which is what $CREDENTIALS_DIRECTORY says
// and "" outside of systemd; else countersign.key in the data folder.
func (c *Config) KeyFile(credentialsDir string) string {
	const name = "countersign.key"
	if c.Store.KeyFile != "" {
		return c.Store.KeyFile
	}
	if credentialsDir != "" {
		credential := filepath.Join(credentialsDir, name)
		if _, err := os.Stat(credential); err == nil {
			return credential
		}
	}
	return filepath.Join(c.DataDir, name)
}

// parse decodes and verifies text. The Config is nil when text is not TOML;
// otherwise it holds whatever could be decoded.
func parse(name string, text []byte) (*Config, *report) {
	config, report := decode(name, text)
	if config == nil {
		return nil, report
	}
	config.resolve(filepath.Dir(name))
	config.readFiles(report)
	config.verify(report)
	return config, report
}

// readFiles reads the files of secrets, and looks whether the others can be read.
func (c *Config) readFiles(r *report) {
	for i := range c.NAS {
		nas, key := &c.NAS[i], joinIndex("nas", i)
		r.readSecret(sharedSecret, key+".secret", &nas.Secret, nas.SecretFile)
	}
	for i := range c.Directories {
		directory, key := &c.Directories[i], joinIndex("directory", i)
		r.readSecret(bindPassword, key+".bind_password", &directory.BindPassword, directory.BindPasswordFile)
		r.readCertificates(key+".ca_file", directory.CAFile)
	}
	r.readSecret(mailPassword, "mail.password", &c.Mail.Password, c.Mail.PasswordFile)
	r.readCertificates("mail.ca_file", c.Mail.CAFile)
	r.readSecret(databasePassword, "store.password", &c.Store.Password, c.Store.PasswordFile)
	r.readSecret(sharedSecret, "tms.radius_secret", &c.TMS.RadiusSecret, c.TMS.RadiusSecretFile)
	r.readCertificates("tms.ca_file", c.TMS.CAFile)
	for i := range c.Collectors {
		collector, key := &c.Collectors[i], joinIndex("collector", i)
		r.readSecret(sharedSecret, key+".secret", &collector.Secret, collector.SecretFile)
	}
	for i := range c.Syslogs {
		r.readCertificates(joinIndex("syslog", i)+".ca_file", c.Syslogs[i].CAFile)
	}
	for key, path := range map[string]string{"web.certificate_file": c.Web.CertificateFile, "web.key_file": c.Web.KeyFile} {
		if path != "" {
			r.readFile(key, path)
		}
	}
	for i, path := range c.Radius.Dictionaries {
		if path != "" {
			r.readFile(r.element("radius.dictionaries", i), path)
		}
	}
}

// readFile returns what is in the file at path, nil with a fault.
func (r *report) readFile(key, path string) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		r.add(key, fmt.Sprintf("cannot read %q: %v", path, withoutPath(err)), "correct the path, or let the account of the server read it")
		return nil
	}
	return text
}

// readCertificates looks whether the file at path has certificates.
func (r *report) readCertificates(key, path string) {
	if path == "" {
		return
	}
	text := r.readFile(key, path)
	if text != nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
		r.add(key, fmt.Sprintf("%q has no certificate", path), "name a file with certificates in PEM, which begin with -----BEGIN CERTIFICATE-----")
	}
}

// decode decodes text over the defaults, and reads no other file.
func decode(name string, text []byte) (*Config, *report) {
	report := &report{file: name, lines: scanPositions(text)}
	var tree map[string]any
	if _, err := toml.Decode(string(text), &tree); err != nil {
		report.faults = Faults{syntaxFault(name, text, err)}
		return nil, report
	}
	config := Defaults()
	(&decoder{report}).table("", tree, reflect.ValueOf(config).Elem())
	return config, report
}

// syntaxFault tells where text is not TOML. The library's message may quote
// from the line, so where the line could hold a secret it is not passed on.
func syntaxFault(name string, text []byte, err error) Fault {
	fault := Fault{File: name, Line: 1, Problem: err.Error(),
		Remedy: "correct this line, or the one before it: key = value, with texts in double quotes"}
	var wrong toml.ParseError
	if !errors.As(err, &wrong) {
		return fault
	}
	lines := strings.Split(string(text), "\n")
	fault.Line = min(max(1, wrong.Position.Line), len(lines))
	fault.Key, fault.Problem = wrong.LastKey, "not TOML: "+strings.TrimSuffix(wrong.Message, ".")
	for _, secret := range []string{"secret", "pass"} {
		if strings.Contains(fault.Key+lines[fault.Line-1], secret) {
			fault.Problem = "not TOML"
		}
	}
	return fault
}

// resolve makes paths relative to folder.
func (c *Config) resolve(folder string) {
	paths := []*string{
		&c.DataDir, &c.Store.KeyFile, &c.Store.PasswordFile, &c.Web.CertificateFile, &c.Web.KeyFile, &c.Web.ClientDir,
		&c.Mail.CAFile, &c.Mail.PasswordFile, &c.Enrol.Templates,
		&c.TMS.CAFile, &c.TMS.RadiusSecretFile,
	}
	for i := range c.NAS {
		paths = append(paths, &c.NAS[i].SecretFile)
	}
	for i := range c.Collectors {
		paths = append(paths, &c.Collectors[i].SecretFile, &c.Collectors[i].File)
	}
	for i := range c.Syslogs {
		paths = append(paths, &c.Syslogs[i].CAFile)
	}
	for i := range c.Directories {
		paths = append(paths, &c.Directories[i].CAFile, &c.Directories[i].BindPasswordFile)
	}
	for i := range c.Radius.Dictionaries {
		paths = append(paths, &c.Radius.Dictionaries[i])
	}
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(folder, *path)
		}
	}
}

// withoutPath takes the path out of an error of package os, for messages that
// name it already.
func withoutPath(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/zonecache/cached/access"
	"github.com/zonecache/cached/identity"
	"github.com/zonecache/cached/placement/gossip"
)

func newCertsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certs",
		Short: "Make and show the certificates, tokens and keys of a small zone",
		Long: `Make what the nodes and agents of a zone prove their identity with. This is enough for
a zone whose certificates one person hands out. Larger ones let cert-manager or SPIRE
write them: the daemon reads the layouts of both, and reads files again when they
change. docs/security.md has all three ways.`,
		Example: `  cached certs init --dir ca --zone eu-1a                 make the zone's CA, once
  cached certs issue --ca ca --node h1 --out h1           a node's certificate; copy h1/ to that host
  cached certs issue --ca ca --agent ci --tenant shop --out ci
  cached certs show h1                                    who, for what, until when
  cached certs gossip-key >> gossip.keys                  a key for the zone's gossip
  cached certs token --out shop.token                     an agent's bearer token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCertsInitCommand(), newCertsIssueCommand(), newCertsShowCommand(), newCertsTokenCommand(), newCertsGossipKeyCommand())
	return cmd
}

func newCertsInitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init --dir DIR --zone ZONE",
		Short: "Make a CA for a zone",
		Long: `Make a CA for a zone: DIR/ca.crt, which every node and agent gets, and DIR/ca.key, which
never leaves this machine. Whoever has the key is every node of the zone.

The CA may name the zone's nodes and agents, localhost, IP addresses and hosts in the
domains given, and nothing else. A CA that is in DIR already stays.`,
		Args: cobra.NoArgs,
	}
	dir := cmd.Flags().String("dir", "", "`DIR` for the CA, made if need be")
	zone := cmd.Flags().String("zone", "", "`NAME` of the zone")
	domains := cmd.Flags().StringArray("domain", nil, "`DOMAIN` of hosts that nodes' certificates may name as well; repeat for more")
	valid := cmd.Flags().Duration("valid", identity.DefaultCALifetime, "how long the CA is valid")
	require(cmd, "dir", "zone")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *valid <= 0 {
			return fmt.Errorf("certs init: --valid %s: want a positive duration", *valid)
		}
		ca, err := identity.NewCA(identity.CAOptions{Zone: *zone, Domains: *domains, Lifetime: *valid})
		if err != nil {
			return err
		}
		if err := ca.Write(*dir); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "CA of zone %s in %s, valid until %s\nkeep %s secret, and keep a copy\n",
			*zone, *dir, day(ca.NotAfter()), filepath.Join(*dir, "ca.key"))
		return err
	}
	return cmd
}

func newCertsIssueCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "issue --ca DIR (--node NAME | --agent NAME --tenant TENANT) --out DIR",
		Short: "Issue the certificate of a node or an agent",
		Long: `Issue a certificate with a new key: OUT/tls.crt, OUT/tls.key (mode 0600) and OUT/ca.crt. Give
the directory to 'cached serve' on the node (--zone-tls for its peers, --tls for its
agents), or to an agent (--cert-dir).

Issuing again into the same directory renews the certificate; whoever uses the directory
notices within seconds.`,
		Example: `  cached certs issue --ca ca --node h1 --host h1.dc.example --host 10.0.0.1 --out h1
  cached certs issue --ca ca --agent ci --tenant shop --valid 720h --out ci`,
		Args: cobra.NoArgs,
	}
	var r identity.Request
	ca := cmd.Flags().String("ca", "", "`DIR` of the CA, as made by 'cached certs init'")
	out := cmd.Flags().String("out", "", "`DIR` to write to, made if need be")
	cmd.Flags().StringVar(&r.Node, "node", "", "`NAME` of the node, as its --node")
	cmd.Flags().StringVar(&r.Agent, "agent", "", "`NAME` of the agent")
	cmd.Flags().StringVar(&r.Tenant, "tenant", "", "`NAME` of the agent's tenant")
	cmd.Flags().StringArrayVar(&r.Hosts, "host", nil, "`HOST` name or address at which agents reach the node, beside localhost; repeat for more")
	cmd.Flags().DurationVar(&r.Lifetime, "valid", identity.DefaultLifetime, "how long the certificate is valid, at most as long as the CA")
	require(cmd, "ca", "out")
	cmd.MarkFlagsOneRequired("node", "agent")
	cmd.MarkFlagsMutuallyExclusive("node", "agent")
	cmd.MarkFlagsMutuallyExclusive("node", "tenant")
	cmd.MarkFlagsMutuallyExclusive("agent", "host")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if r.Agent != "" && r.Tenant == "" {
			return errors.New("certs issue: an agent's certificate names its tenant: give --tenant")
		}
		if r.Lifetime <= 0 {
			return fmt.Errorf("certs issue: --valid %s: want a positive duration", r.Lifetime)
		}
		authority, err := identity.OpenCA(*ca)
		if err != nil {
			return err
		}
		bundle, err := authority.Issue(r)
		if err != nil {
			return err
		}
		if err := bundle.Write(*out); err != nil {
			return err
		}
		who := "node " + r.Node
		if r.Agent != "" {
			who = "agent " + r.Agent + " of tenant " + r.Tenant
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "certificate of %s in zone %s in %s, valid until %s\n", who, authority.Zone(), *out, day(bundle.NotAfter))
		return err
	}
	return cmd
}

func newCertsShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show DIR",
		Short: "Show whose certificate is in a directory, for what names, and until when",
		Long: `Show the certificates of a directory in any layout the daemon reads: that of 'cached
certs', of cert-manager or of SPIFFE. The exit status is 1 when others would refuse
the certificate now.`,
		Args: cobra.ExactArgs(1),
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		now := time.Now()
		all, err := identity.Inspect(args[0], now)
		if err != nil {
			return err
		}
		if *asJSON {
			err = printJSON(cmd.OutOrStdout(), all)
		} else {
			err = printCertificates(cmd.OutOrStdout(), all, now)
		}
		for _, c := range all {
			if c.Problem != "" {
				err = errors.Join(err, fmt.Errorf("%s: %s", c.File, c.Problem))
			}
		}
		return err
	}
	return cmd
}

func printCertificates(w io.Writer, all []identity.Certificate, now time.Time) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i, c := range all {
		if i > 0 {
			fmt.Fprintln(tw)
		}
		what := "certificate"
		if c.CA {
			what = "CA"
		}
		fmt.Fprintf(tw, "%s\t%s\n", what, c.For)
		fmt.Fprintf(tw, "file\t%s\n", c.File)
		if len(c.Names) > 0 {
			fmt.Fprintf(tw, "names\t%s\n", strings.Join(c.Names, " "))
		}
		if !c.CA {
			fmt.Fprintf(tw, "issued by\t%s\n", c.Issuer)
		}
		fmt.Fprintf(tw, "valid\t%s to %s (ends %s)\n", day(c.NotBefore), day(c.NotAfter), humanize.RelTime(now, c.NotAfter, "from now", "ago"))
		if c.Problem != "" {
			fmt.Fprintf(tw, "PROBLEM\t%s\n", c.Problem)
		}
	}
	return tw.Flush()
}

func newCertsTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token [--out FILE]",
		Short: "Make an agent's bearer token",
		Long: `Make a bearer token of 256 random bits. The token goes to the agent, and its digest,
which is of no use to anybody, into the daemon's tenants file.`,
		Args: cobra.NoArgs,
	}
	out := cmd.Flags().String("out", "-", "`FILE` for the token (mode 0600, not overwritten), - for standard output")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var p [32]byte
		_, _ = rand.Read(p[:]) // never fails
		token := base64.RawURLEncoding.EncodeToString(p[:])
		if *out == "-" {
			fmt.Fprintf(cmd.OutOrStdout(), "token: %s\n", token)
		} else if err := writeSecret(*out, token+"\n"); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "for the tenants file: %s\n", access.TokenDigest(token))
		return err
	}
	return cmd
}

func newCertsGossipKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "gossip-key",
		Short: "Make a key for the zone's gossip",
		Long: `Print a line for the file given by --gossip-keys, the same on every node: 256 random
bits in base64. The first line encrypts and all decrypt, so that a key is replaced
without downtime: add the new one below on every node, then move it to the top on
every node, then remove the old one on every node.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), gossip.NewKey())
			return err
		},
	}
}

// writeSecret makes a file that only its owner reads.
func writeSecret(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// day is a date as people read it.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// require marks flags without which the command is not run.
func require(cmd *cobra.Command, names ...string) {
	for _, n := range names {
		if err := cmd.MarkFlagRequired(n); err != nil { // the flag does not exist
			panic(err)
		}
	}
}

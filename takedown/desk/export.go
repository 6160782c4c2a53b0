package desk

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/staydown/staydown/internal/fields"
	"github.com/staydown/staydown/takedown"
)

// columns are what is exported of a case: codes, numbers and times, nothing
// that a person wrote and nothing that names one.
var columns = []struct {
	name  string
	value func(*Case) any // string, int, bool, time.Time or []string
}{
	{"case", func(c *Case) any { return c.ID.String() }},
	{"kind", func(c *Case) any { return c.Kind.String() }},
	{"regime", func(c *Case) any { return string(c.Regime) }},
	{"state", func(c *Case) any { return string(c.State) }},
	{"outcome", func(c *Case) any { return string(c.Outcome) }},
	{"about", func(c *Case) any {
		if c.About == (takedown.CaseID{}) {
			return ""
		}
		return c.About.String()
	}},
	{"flags", func(c *Case) any { return fields.Names(c.Flags...) }},
	{"asked", func(c *Case) any { return widthName(c.Asked) }},
	{"granted", func(c *Case) any { return widthName(c.Granted) }},
	{"face_model", func(c *Case) any { return c.Face.Model }},
	{"face_block", func(c *Case) any { return c.Face.Block }},
	{"face_review", func(c *Case) any { return c.Face.Review }},
	{"territories", func(c *Case) any { return c.Territories }},
	{"start", func(c *Case) any { return c.Start }},
	{"end", func(c *Case) any { return c.End }},
	{"items", func(c *Case) any { return len(c.Items) }},
	{"items_accepted", func(c *Case) any {
		n := 0
		for _, it := range c.Items {
			if it.Outcome == OutcomeAccepted {
				n++
			}
		}
		return n
	}},
	{"rules", func(c *Case) any { return len(c.Rules) }},
	{"received", func(c *Case) any { return c.Received }},
	{"decided", func(c *Case) any { return c.Times[MilestoneDecided] }},
	{"informed", func(c *Case) any { return c.Times[MilestoneInformed] }},
	{"enforced", func(c *Case) any { return c.Times[MilestoneEnforced] }},
	{"ended", func(c *Case) any { return c.Times[MilestoneEnded] }},
	{"closed", func(c *Case) any { return c.Times[MilestoneClosed] }},
	{"erased", func(c *Case) any { return c.Times[MilestoneErased] }},
}

func widthName(w takedown.Scope) string {
	if w == 0 {
		return ""
	}
	return w.String()
}

// ExportCSV writes all cases as a table, with the names of the columns in the
// first line. Times are RFC 3339 in UTC, empty for milestones that did not happen.
// Lists are separated by blanks.
func (d *Desk) ExportCSV(ctx context.Context, w io.Writer) error {
	out := csv.NewWriter(w)
	line := make([]string, len(columns))
	for i, col := range columns {
		line[i] = col.name
	}
	err := out.Write(line)
	if cerr := d.eachCase(ctx, func(c Case) bool {
		for i, col := range columns {
			switch v := col.value(&c).(type) {
			case time.Time:
				line[i] = ""
				if !v.IsZero() {
					line[i] = v.UTC().Format(time.RFC3339)
				}
			case []string:
				line[i] = strings.Join(v, " ")
			default:
				line[i] = fmt.Sprint(v)
			}
		}
		err = out.Write(line)
		return err == nil
	}); cerr != nil {
		return cerr
	}
	out.Flush()
	if err == nil {
		err = out.Error()
	}
	if err != nil {
		return fmt.Errorf("takedown: export: %w", err)
	}
	return nil
}

// ExportJSON writes all cases, each as a JSON object on its own line, with the
// columns of [Desk.ExportCSV] as members. Milestones that did not happen are left
// out.
func (d *Desk) ExportJSON(ctx context.Context, w io.Writer) error {
	var err error
	if cerr := d.eachCase(ctx, func(c Case) bool {
		var b bytes.Buffer
		b.WriteByte('{')
		for _, col := range columns {
			v := col.value(&c)
			if t, ok := v.(time.Time); ok && t.IsZero() {
				continue
			}
			if list, ok := v.([]string); ok && list == nil {
				v = []string{}
			}
			var j []byte
			if j, err = json.Marshal(v); err != nil {
				return false
			}
			if b.Len() > 1 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "%q:%s", col.name, j)
		}
		b.WriteString("}\n")
		_, err = w.Write(b.Bytes())
		return err == nil
	}); cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("takedown: export: %w", err)
	}
	return nil
}

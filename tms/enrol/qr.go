package enrol

import (
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// Secret is the seed in base32, for those who type it into an app by hand, in
// groups of four.
func (p Provisioning) Secret() string {
	var b strings.Builder
	for i, c := range (*p.key).Secret() {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// WriteSVG draws the QR code as an SVG element to stand in a page, dark on light
// whatever the colours of the page, with the quiet zone of four modules that ISO/IEC
// 18004 demands. The label is what a screen reader says of it. It has neither style
// nor script, so that the strictest policy of a page shows it.
func (p Provisioning) WriteSVG(w io.Writer, label string) error {
	code, err := qr.Encode((*p.key).String(), qr.M, qr.Auto)
	if err != nil {
		return fmt.Errorf("drawing the QR code: %w", err)
	}
	const quiet = 4
	size := code.Bounds().Dx()
	dark := func(x, y int) bool {
		r, _, _, _ := code.At(x, y).RGBA()
		return r == 0
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[1]d" role="img" aria-label="%[2]s" shape-rendering="crispEdges">`+
		`<rect width="%[1]d" height="%[1]d" fill="#fff"/><path fill="#000" d="`, size+2*quiet, html.EscapeString(label))
	for y := range size {
		for x := 0; x < size; x++ {
			from := x
			for x < size && dark(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%[3]dz", from+quiet, y+quiet, x-from)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	_, err = io.WriteString(w, b.String())
	return err
}

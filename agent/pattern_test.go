package agent

import "testing"

// run lets a program read blocks in this order, and returns how many were fetched
// ahead before they were read, and how many that nobody read.
func run(p *pattern, n int, order []int) (early, waste int) {
	have := map[int]bool{}
	read := map[int]bool{}
	for _, i := range order {
		if have[i] && !read[i] {
			early++
			p.hit()
		}
		read[i] = true
		from, to := p.touched(i, n)
		fetched := 0
		for k := from; k < to; k++ {
			if !have[k] && !read[k] {
				have[k] = true
				fetched++
			}
		}
		p.ahead(fetched)
	}
	for k := range have {
		if !read[k] {
			waste++
		}
	}
	return early, waste
}

func sequence(from, to, step int) []int {
	var s []int
	for i := from; i < to; i += step {
		s = append(s, i)
	}
	return s
}

func TestPatternOfAProgramThatReadsOn(t *testing.T) {
	early, waste := run(newPattern(32), 1000, sequence(0, 1000, 1))
	if early < 990 || waste > 0 {
		t.Errorf("%d of 1000 blocks were there before they were read, %d in vain", early, waste)
	}
}

func TestPatternOfSeveralProgramsThatReadOn(t *testing.T) {
	var order []int
	for i := range 200 {
		for s := range 8 {
			order = append(order, s*1000+i)
		}
	}
	early, waste := run(newPattern(16), 10_000, order)
	if early < 1500 || waste > 8*16 {
		t.Errorf("%d of 1600 blocks were there before they were read, %d in vain", early, waste)
	}
}

// A program that reads here and there stops the fetching of neighbours.
func TestPatternOfAProgramThatJumps(t *testing.T) {
	const n = 1 << 20
	var order []int
	for i := range 4000 {
		order = append(order, i*7919%n)
	}
	_, waste := run(newPattern(32), n, order)
	if waste > 500 {
		t.Errorf("%d blocks were fetched in vain beside %d reads", waste, len(order))
	}
}

// A program that reads small runs here and there has its neighbours fetched.
func TestPatternOfShortRuns(t *testing.T) {
	const n = 1 << 20
	var order []int
	for i := range 500 {
		at := i * 7919 % n
		order = append(order, sequence(at, min(at+6, n), 1)...)
	}
	early, waste := run(newPattern(32), n, order)
	if early < 2*len(order)/3 || waste > 2*len(order) {
		t.Errorf("of %d reads %d found their block, %d in vain", len(order), early, waste)
	}
}

func TestPatternStaysWithinTheImage(t *testing.T) {
	p := newPattern(32)
	for i := range 10 {
		if from, to := p.touched(i, 10); to > 10 || from > to {
			t.Errorf("block %d of 10: fetch %d to %d", i, from, to)
		}
	}
	none := newPattern(-1)
	if from, to := none.touched(3, 10); from != to {
		t.Error("fetches ahead though it was told not to")
	}
}

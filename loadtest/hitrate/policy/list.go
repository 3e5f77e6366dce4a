package policy

// A node is an object in a list.
type node struct {
	id         uint64
	size       int64
	count      uint8 // of uses, where the policy counts
	in         uint8 // which list, where the policy has several
	prev, next *node
}

// A list is objects in an order, with the sum of their sizes.
type list struct {
	root  node
	bytes int64
	count int
}

func newList() *list {
	l := &list{}
	l.root.prev, l.root.next = &l.root, &l.root
	return l
}

func (l *list) pushFront(n *node) {
	n.prev, n.next = &l.root, l.root.next
	n.prev.next, n.next.prev = n, n
	l.bytes += n.size
	l.count++
}

func (l *list) remove(n *node) {
	n.prev.next, n.next.prev = n.next, n.prev
	n.prev, n.next = nil, nil
	l.bytes -= n.size
	l.count--
}

func (l *list) moveToFront(n *node) {
	l.remove(n)
	l.pushFront(n)
}

// back returns the last object, or nil.
func (l *list) back() *node {
	if l.count == 0 {
		return nil
	}
	return l.root.prev
}

// popBack takes out the last object, or returns nil.
func (l *list) popBack() *node {
	n := l.back()
	if n != nil {
		l.remove(n)
	}
	return n
}
